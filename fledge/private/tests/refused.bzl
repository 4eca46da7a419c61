"""What analysis tests share: a target that must not analyse, and the arguments of an action."""

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

def argument(argv, name):
    """Gives the values of a flag in a command line."""
    return [argv[i + 1] for i in range(len(argv) - 1) if argv[i] == name]
