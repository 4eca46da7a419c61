package bazel

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Spawn is an action that Bazel ran, or whose outputs it took from a cache: an entry of the log of
// --execution_log_json_file (Bazel's src/main/protobuf/spawn.proto, SpawnExec).
type Spawn struct {
	Mnemonic    string   `json:"mnemonic"`
	TargetLabel string   `json:"targetLabel"`
	CacheHit    bool     `json:"cacheHit"`
	Status      string   `json:"status"`
	Runner      string   `json:"runner"` // where it ran: "remote", "linux-sandbox", "remote cache hit" and so on
	Outputs     []Output `json:"actualOutputs"`
}

// Output is a file that a spawn wrote.
type Output struct {
	Path   string `json:"path"`
	Digest struct {
		Hash string `json:"hash"`
		Size int64  `json:"sizeBytes,string"` // bytes
	} `json:"digest"`
}

// String is the spawn's mnemonic and target.
func (s Spawn) String() string { return s.Mnemonic + " " + s.TargetLabel }

// OfRules are the spawns of Fledge's own rules, without the building of its tools.
func OfRules(spawns []Spawn) []Spawn {
	var list []Spawn
	for _, s := range spawns {
		if strings.HasPrefix(s.Mnemonic, "Fledge") && !strings.HasPrefix(s.Mnemonic, "FledgeGo") {
			list = append(list, s)
		}
	}
	return list
}

// readSpawns decodes an execution log: JSON objects, one after the other.
func readSpawns(r io.Reader) ([]Spawn, error) {
	var spawns []Spawn
	decoder := json.NewDecoder(r)
	for {
		var s Spawn
		err := decoder.Decode(&s)
		if errors.Is(err, io.EOF) {
			return spawns, nil
		}
		if err != nil {
			return nil, err
		}
		spawns = append(spawns, s)
	}
}
