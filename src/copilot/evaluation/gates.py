"""Gates and the summary of an evaluation in; one sentence for each that failed out, and exit code 4."""

from collections.abc import Mapping

from copilot.config import Evaluation, Model
from copilot.errors import ConfigError, CopilotError, Exit
from copilot.evaluation.metrics import Summary
from copilot.evaluation.report import COLUMNS, LABELS, LOWER_IS_BETTER


def check_names(config: Evaluation, model: Model) -> None:
    """Raise ConfigError for a gate on a column or figure that there is not: before hours are spent, not after."""
    there = {"base": not model.extractive, "tuned": model.trainable, "served": not model.extractive}
    columns = [name for name in COLUMNS if there.get(name, True)]
    for gate in config.gates:
        column, _, figure = gate.partition(".")
        if column not in columns:
            message = f"evaluation.gates: `{gate}`: there is no column `{column}`"
            raise ConfigError(message, f"columns are {', '.join(columns)}; write for example served.structure: 0.95")
        if figure not in LABELS:
            message = f"evaluation.gates: `{gate}`: there is no figure `{figure}`"
            raise ConfigError(message, f"figures are {', '.join(LABELS)}")


def failed(config: Evaluation, summaries: Mapping[str, Summary]) -> list[str]:
    """A sentence for each gate that the means do not reach; of what should be low, the gate is the most."""
    said = []
    for gate, wanted in config.gates.items():
        column, _, name = gate.partition(".")
        figure = summaries.get(column, {}).get(name)
        low = name in LOWER_IS_BETTER
        if figure is None:
            said.append(f"{gate} cannot be told: no question of this evaluation has it")
        elif figure["mean"] > wanted + 1e-9 if low else figure["mean"] < wanted - 1e-9:
            bound = "at most" if low else "at least"
            said.append(f"{gate} is {figure['mean']:.3f} over {figure['n']} answers, the gate is {bound} {wanted:g}")
    return said


def hold(config: Evaluation, summaries: Mapping[str, Summary]) -> None:
    """Raise CopilotError with exit code 4 when a gate fails."""
    if said := failed(config, summaries):
        raise CopilotError("\n".join(said), "find what made it worse, or mend evaluation.gates", Exit.GATE)
