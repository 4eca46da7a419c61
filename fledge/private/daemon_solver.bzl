"""The fledge_daemon_solver rule."""

load(":daemon_info.bzl", "FledgeDaemonInfo")

def _fledge_daemon_solver_impl(ctx):
    flags = []
    for flag, value in [
        ("--tls-ca", ctx.attr.tls_ca),
        ("--tls-cert", ctx.attr.tls_cert),
        ("--tls-key", ctx.attr.tls_key),
        ("--tls-server-name", ctx.attr.tls_server_name),
    ]:
        if value:
            flags += [flag, value]
    return [FledgeDaemonInfo(address = ctx.attr.address, flags = flags, program = ctx.file._guest_program)]

fledge_daemon_solver = rule(
    implementation = _fledge_daemon_solver_impl,
    doc = """A buildkitd in place of a machine; `FLEDGE_BUILDKIT_MODE=daemon` makes one.

The files are paths and no inputs: a key must not get into a cache.
""",
    attrs = {
        "address": attr.string(mandatory = True, doc = "As buildctl takes it."),
        "tls_ca": attr.string(doc = "Absolute path of the certificates that the daemon's is checked with."),
        "tls_cert": attr.string(doc = "Absolute path of the certificate that the daemon asks for."),
        "tls_key": attr.string(doc = "Absolute path of that certificate's key."),
        "tls_server_name": attr.string(doc = "Name in the daemon's certificate; by default the address's host."),
        "_guest_program": attr.label(
            default = Label("//tools/guest"),
            allow_single_file = True,
            cfg = "exec",
        ),
    },
    provides = [FledgeDaemonInfo],
)
