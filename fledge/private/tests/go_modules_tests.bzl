"""Tests of how Go modules outside of go_deps are read and found."""

load("@bazel_skylib//lib:unittest.bzl", "asserts", "unittest")
load("//fledge/private:go_imports.bzl", "is_standard", "module_path", "parse_imports", "within")
load("//fledge/private:go_packages.bzl", "imports_of", "sources_build")
load("//fledge/private:go_sdk.bzl", "module_proxies", "split_login")

_SOURCE = """// Command x imports "nothing" here.
//
//	import "example.com/comment"
package main

import "fmt"

import (
	// "example.com/off"
	"os"
	. "example.com/dot" // says why

	_ "example.com/blank"
	v2 "example.com/module/v2"
)

const block = `
import "example.com/string"
`
"""

def _imports_impl(ctx):
    env = unittest.begin(ctx)
    want = ["fmt", "os", "example.com/dot", "example.com/blank", "example.com/module/v2"]
    asserts.equals(env, want, parse_imports(_SOURCE))
    asserts.equals(env, [], parse_imports("package p\n"))
    asserts.equals(env, ["net/http"], [p for p in ["net/http", "example.com/a"] if is_standard(p)])
    return unittest.end(env)

_imports_test = unittest.make(_imports_impl)

def _module_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, "example.com/m", module_path("// comment\nmodule example.com/m\n\ngo 1.26.0\n"))
    asserts.true(env, within("example.com/m", "example.com/m"))
    asserts.true(env, within("example.com/m/p", "example.com/m"))
    asserts.false(env, within("example.com/m2", "example.com/m"))
    return unittest.end(env)

_module_test = unittest.make(_module_impl)

_PACKAGES = {
    "internal/a": struct(files = ["a.go", "table.txt"], imports = ["example.com/m/internal/b", "example.com/x", "fmt"]),
    "internal/b": struct(files = ["b.go"], imports = ["example.com/m2/c", "fmt"]),
}

_SOURCES_BUILD = """package(default_visibility = ["//visibility:public"])

exports_files(["go.mod"])

filegroup(name = "internal/a", srcs = ["internal/a/a.go", "internal/a/table.txt", ":internal/b"])

filegroup(name = "internal/b", srcs = ["internal/b/b.go"])
"""

def _packages_impl(ctx):
    env = unittest.begin(ctx)
    asserts.equals(env, _SOURCES_BUILD, sources_build(_PACKAGES, "module example.com/m\n"))
    want = ["example.com/m/internal/b", "example.com/m2/c", "example.com/x", "fmt"]
    asserts.equals(env, want, imports_of(_PACKAGES))
    return unittest.end(env)

_packages_test = unittest.make(_packages_impl)

def _proxies_impl(ctx):
    env = unittest.begin(ctx)
    for goproxy, want in {
        "": ["https://proxy.golang.org", "https://go.dev/dl/mod"],
        "direct": ["https://go.dev/dl/mod"],
        "https://a.example/go/|https://b.example,off": ["https://a.example/go", "https://b.example"],
        "off": [],
    }.items():
        asserts.equals(env, want, module_proxies(goproxy))
    return unittest.end(env)

_proxies_test = unittest.make(_proxies_impl)

def _login_impl(ctx):
    env = unittest.begin(ctx)
    for url, want in {
        "http://127.0.0.1:80": ("http://127.0.0.1:80", None),
        "https://a.example/x@v1": ("https://a.example/x@v1", None),
        "https://me:se@cret@a.example/x": (
            "https://a.example/x",
            {"type": "basic", "login": "me", "password": "se@cret"},
        ),
    }.items():
        asserts.equals(env, want, split_login(url))
    return unittest.end(env)

_login_test = unittest.make(_login_impl)

_TESTS = {
    "imports": _imports_test,
    "login": _login_test,
    "module": _module_test,
    "packages": _packages_test,
    "proxies": _proxies_test,
}

def go_modules_test_suite(name):
    """Declares the tests and a suite of them.

    Args:
      name: the suite's name.
    """
    tests = []
    for test, rule in _TESTS.items():
        tests.append("{}_{}".format(name, test))
        rule(name = tests[-1], size = "small")
    native.test_suite(name = name, tests = tests)
