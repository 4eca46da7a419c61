"""FledgeSolvedInfo: an image that was built from a Dockerfile."""

FledgeSolvedInfo = provider(
    doc = "What `fledge_dockerfile` makes. How many layers it has is known only when it is built.",
    fields = {"layout": "File: the OCI image layout, a directory"},
)
