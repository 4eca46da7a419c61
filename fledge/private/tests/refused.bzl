"""What analysis tests share: a target that must not analyse, the arguments of an action, the kernel that one is told."""

load("@bazel_skylib//lib:unittest.bzl", "analysistest", "asserts")

def _fails_impl(ctx):
    env = analysistest.begin(ctx)
    asserts.expect_failure(env, ctx.attr.message)
    return analysistest.end(env)

_fails_test = analysistest.make(
    _fails_impl,
    attrs = {"message": attr.string(mandatory = True)},
    expect_failure = True,
)

def refused(name, message, rule, **kwargs):
    """Declares a test that a target fails.

    Args:
      name: of the test.
      message: text in the error.
      rule: of the target.
      **kwargs: the target's attributes.

    Returns:
      the name.
    """
    rule(name = name + "_subject", tags = ["manual"], **kwargs)
    _fails_test(name = name, size = "small", target_under_test = name + "_subject", message = message)
    return name

def _kernel_impl(ctx):
    env = analysistest.begin(ctx)
    action = [a for a in analysistest.target_actions(env) if a.mnemonic == ctx.attr.mnemonic][0]
    for flag, want in ctx.attr.flags.items():
        values = [v.rsplit("/", 1)[-1] for v in argument(action.argv, flag)]
        asserts.equals(env, [want] if want else [], values)
    inputs = [f.basename for f in action.inputs.to_list()]
    for name in ctx.attr.inputs:
        asserts.true(env, name in inputs, "{} is not among the inputs".format(name))
    return analysistest.end(env)

kernel_test = analysistest.make(
    _kernel_impl,
    doc = "An action has flags, each with a value (of a path the last part) or, for \"\", not at all, and inputs.",
    attrs = {
        "flags": attr.string_dict(mandatory = True),
        "inputs": attr.string_list(),
        "mnemonic": attr.string(mandatory = True),
    },
)

def argument(argv, name):
    """Gives the values of a flag in a command line."""
    return [argv[i + 1] for i in range(len(argv) - 1) if argv[i] == name]
