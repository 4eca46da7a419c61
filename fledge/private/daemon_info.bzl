"""FledgeDaemonInfo: a buildkitd that solves Dockerfiles where no machine can run."""

FledgeDaemonInfo = provider(
    doc = "A BuildKit daemon, which `fledge_dockerfile` asks in place of a machine of its own.",
    fields = {
        "address": "string: its address, as buildctl takes it",
        "flags": "list of strings: flags of the solver about TLS",
        "program": "File: the program of the machine that runs the action which talks to the daemon",
    },
)
