"""The guide's steps as commands: each file is accepted upstream, or the refusal says why."""
