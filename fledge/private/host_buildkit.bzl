"""The repository of what solves Dockerfiles: a machine, or the buildkitd that the environment names."""

_MODE = "FLEDGE_BUILDKIT_MODE"
_ADDR = "FLEDGE_BUILDKIT_ADDR"

_MACHINE = """alias(
    name = "solver",
    actual = "@fledge//fledge/private:solver",
    visibility = ["//visibility:public"],
)
"""

_DAEMON = """load("@fledge//fledge/private:daemon_solver.bzl", "fledge_daemon_solver")

fledge_daemon_solver(
    name = "solver",
    address = {address},
    tls_ca = {tls_ca},
    tls_cert = {tls_cert},
    tls_key = {tls_key},
    tls_server_name = {tls_server_name},
    visibility = ["//visibility:public"],
)
"""

def _file(ctx, variable):
    """Path of the file that variable names, or an empty string."""
    value = ctx.getenv(variable)
    if value and not ctx.path(value).exists:
        fail("{}={}: no such file".format(variable, value))
    return repr(value or "")

def _host_buildkit_impl(ctx):
    mode = ctx.getenv(_MODE) or "vm"
    if mode == "vm":
        ctx.file("BUILD.bazel", _MACHINE)
        return
    if mode != "daemon":
        fail("{}={}: give vm or daemon".format(_MODE, mode))
    address = ctx.getenv(_ADDR)
    if not address:
        fail("{}=daemon: give {} too, for example unix:///run/buildkit/buildkitd.sock".format(_MODE, _ADDR))
    ctx.file("BUILD.bazel", _DAEMON.format(
        address = repr(address),
        tls_ca = _file(ctx, "FLEDGE_BUILDKIT_TLS_CA"),
        tls_cert = _file(ctx, "FLEDGE_BUILDKIT_TLS_CERT"),
        tls_key = _file(ctx, "FLEDGE_BUILDKIT_TLS_KEY"),
        tls_server_name = repr(ctx.getenv("FLEDGE_BUILDKIT_TLS_SERVER_NAME") or ""),
    ))

host_buildkit = repository_rule(
    implementation = _host_buildkit_impl,
    doc = """Has a target `solver`: Fledge's machine, or with `FLEDGE_BUILDKIT_MODE=daemon` the buildkitd at `FLEDGE_BUILDKIT_ADDR`.

With TLS, `FLEDGE_BUILDKIT_TLS_CA`, `_CERT` and `_KEY` name files and `_SERVER_NAME` a name. docs/dockerfile-daemon.md tells more.
""",
    local = True,
)
