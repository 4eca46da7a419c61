"""The target that stands for a file which nobody has declared."""

def _unavailable_impl(ctx):
    fail(ctx.attr.message)

unavailable = rule(
    implementation = _unavailable_impl,
    doc = "Fails when a build wants it, with the message; loading and querying it is no error.",
    attrs = {
        "message": attr.string(
            mandatory = True,
            doc = "What is missing and what to do.",
        ),
    },
)
