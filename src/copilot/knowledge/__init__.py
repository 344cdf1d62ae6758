"""Files in, hits out: documents, chunks, embeddings, index, retriever."""
