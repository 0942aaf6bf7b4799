"""A masked language model over many languages: XLM-RoBERTa and its larger kin, in plain PyTorch.

``xlmr.train.train`` reads a folder of tokens and writes checkpoints; ``xlmr.hf.export`` makes of a checkpoint a
folder that transformers loads. Importing this package loads nothing; importing a module of it loads torch.

Read in this order: config, model, loss, masking, order, data, optim, checkpoint, train.
"""
