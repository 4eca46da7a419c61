// Package release says which release of Fledge this is.
package release

// Version is that of the module in MODULE.bazel, as a test of the fledge command says.
const Version = "0.1.0"
