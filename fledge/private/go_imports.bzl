"""What Go sources import, read without Go."""

def parse_imports(source):
    """Lists the packages that a Go file imports.

    Args:
      source: string, the file as gofmt writes it.

    Returns:
      list of strings: import paths, in the file's order.
    """
    paths = []
    block = False
    for line in source.split("\n"):
        line = line.strip()
        if line.startswith("//"):
            continue
        elif line == "import (":
            block = True
        elif block and line == ")":
            block = False
        elif (block or line.startswith("import ")) and "\"" in line:
            paths.append(line.split("\"")[1])
        elif line.split(" ")[0] in ["const", "func", "type", "var"]:
            break  # imports come first
    return paths

def is_standard(path):
    """Says whether an import path is of the standard library, whose first element has no dot."""
    return "." not in path.split("/")[0]

def within(path, module):
    """Says whether a package is the module's root or below it."""
    return path == module or path.startswith(module + "/")

def module_path(go_mod):
    """Reads the path that a go.mod declares.

    Args:
      go_mod: string, the file.

    Returns:
      string. A go.mod without one fails.
    """
    for line in go_mod.split("\n"):
        if line.startswith("module "):
            return line.removeprefix("module ").strip()
    return fail("a go.mod without a line \"module PATH\"")
