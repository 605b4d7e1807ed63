"""The accelerator as data: the stages of the engine, and the design that they make."""
