"""LLVM's optimiser, as llvmlite brings it: what a HLS front end does before scheduling.

Inlining, promotion to registers, unrolling, common expressions and dead code are those
of LLVM's level 2. Vectors are never made. The version of LLVM is llvmlite's, whichever
clang compiled.
"""

from llvmlite import binding as llvm

_OPTIONS = (
    # Unroll whatever a pragma asks for. Threading jumps makes chains of choices, and
    # looking for them over nested branches takes most of the time.
    "-pragma-unroll-threshold=1000000",
    "-jump-threading-threshold=0",
    "-jump-threading-phi-threshold=0",
    "-jump-threading-implication-search-threshold=0",
)
_started: list[bool] = []


def _start() -> None:
    """Set LLVM up; its options are of the process and may be set once."""
    if not _started:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        for option in _OPTIONS:
            llvm.set_option("hao", option)
        _started.append(True)


def _builder() -> llvm.PassBuilder:
    target = llvm.Target.from_default_triple().create_target_machine()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    tuning.loop_vectorization = False
    tuning.slp_vectorization = False
    tuning.loop_interleaving = False
    tuning.loop_unrolling = True
    return llvm.create_pass_builder(target, tuning)


def join_modules(texts: list[str]) -> str:
    """Return several modules as one."""
    _start()
    first, *others = [llvm.parse_assembly(text) for text in texts]
    for other in others:
        first.link_in(other)
    return str(first)


def inline(text: str) -> str:
    """Return a module with all calls inlined that are to be, in registers."""
    _start()
    module = llvm.parse_assembly(text)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_sroa_pass()
    passes.run(module, _builder())
    return str(module)


def optimise(text: str) -> str:
    """Return a module optimised at level 2, without vectors; every value has a name."""
    _start()
    module = llvm.parse_assembly(text)
    builder = _builder()
    builder.getModulePassManager().run(module, builder)
    passes = llvm.create_new_module_pass_manager()
    passes.add_instruction_namer_pass()
    passes.run(module, builder)
    return str(module)
