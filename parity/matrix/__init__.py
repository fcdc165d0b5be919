"""The onnxruntime matrix: what runs in a cell's environment, with NumPy, onnxruntime and pytest alone."""
