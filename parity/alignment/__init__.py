"""Which value of a graph is which tap: by parameters, values and dataflow, never by a name."""
