"""The machine as data: boards, resources, the engine and its free variables."""
