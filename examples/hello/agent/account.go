//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// account is who the workload runs as.
type account struct {
	syscall.Credential
	home string // "" when the user is not in passwd
}

// findAccount resolves USER or USER:GROUP, names or numbers, as container engines do: without a group, it is that of
// the user in passwd, and the groups that list the user are supplementary ones.
func findAccount(spec, passwdFile, groupFile string) (*account, error) {
	user, group, grouped := strings.Cut(spec, ":")
	users, err := readTable(passwdFile, 7)
	if err != nil {
		return nil, err
	}
	groups, err := readTable(groupFile, 4)
	if err != nil {
		return nil, err
	}
	a := new(account)
	entry, id, err := lookUp(users, user)
	if err != nil {
		return nil, fmt.Errorf("user %q is neither a number nor in %s", user, passwdFile)
	}
	a.Uid = id
	if entry != nil {
		a.home = entry[5]
		if _, a.Gid, err = lookUp(nil, entry[3]); err != nil {
			return nil, fmt.Errorf("%s: group %q of user %s is not a number", passwdFile, entry[3], entry[0])
		}
	}
	if grouped {
		if _, a.Gid, err = lookUp(groups, group); err != nil {
			return nil, fmt.Errorf("group %q is neither a number nor in %s", group, groupFile)
		}
		return a, nil
	}
	for _, g := range groups {
		if entry == nil || !slices.Contains(strings.Split(g[3], ","), entry[0]) {
			continue
		}
		if _, id, err := lookUp(nil, g[2]); err == nil {
			a.Groups = append(a.Groups, id)
		}
	}
	return a, nil
}

// lookUp finds the line of a name or a number. A number needs no line.
func lookUp(table [][]string, key string) (entry []string, id uint32, err error) {
	for _, line := range table {
		if line[0] == key || line[2] == key {
			entry, key = line, line[2]
			break
		}
	}
	n, err := strconv.ParseUint(key, 10, 32)
	return entry, uint32(n), err
}

// readTable reads a file of lines with that many fields between colons; a missing file is an empty one.
func readTable(file string, fields int) ([][]string, error) {
	raw, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var table [][]string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) == fields {
			table = append(table, f)
		}
	}
	return table, nil
}
