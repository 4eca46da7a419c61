"""FledgeSolverInfo: the machine that solves Dockerfiles."""

FledgeSolverInfo = provider(
    doc = "What `fledge_solver` makes: a build machine, which `fledge_dockerfile` runs.",
    fields = {
        "initramfs": "File: the guest, with BuildKit, and the kernel modules it needs",
        "kernel": "FledgeKernelInfo: the kernel that it boots",
    },
)
