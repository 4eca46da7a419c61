"""The init of Fledge's initramfs, built for the guest."""

def _guest_transition_impl(settings, attr):  # buildifier: disable=unused-variable
    return {
        "//command_line_option:compilation_mode": "opt",
        "@rules_go//go/config:pure": True,
    }

# The guest's programs are part of the image, whose bytes must not follow -c, nor a host's C compiler.
_guest_transition = transition(
    implementation = _guest_transition_impl,
    inputs = [],
    outputs = [
        "//command_line_option:compilation_mode",
        "@rules_go//go/config:pure",
    ],
)

INIT_ATTRS = {
    "_init": attr.label(
        default = Label("//tools/init"),
        allow_single_file = True,
        cfg = _guest_transition,
    ),
}
