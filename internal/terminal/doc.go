// Package terminal tells what Fledge's commands need to know of the terminal that they write to.
package terminal
