"""The onnxruntime matrix: bundles, cells in processes of their own, verdicts, deviations, merging."""
