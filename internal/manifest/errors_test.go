package manifest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fledge-build/fledge/internal/ocilayout"
	"github.com/fledge-build/fledge/internal/tomlread"
)

// good is what a manifest.toml needs; tests add to it or replace it.
const good = "name = \"a\"\nversion = \"1\"\nworkload.entrypoint = [\"/a\"]\n"

// TestErrors has a wrong manifest.toml in each row, with the whole message.
func TestErrors(t *testing.T) {
	type row struct{ name, src, want string }
	many := row{"too many to list", good, ""}
	tests := []row{
		{"huge file", strings.Repeat(" ", MaxTOML+1), "manifest.toml:1:1: the file has more than the 65536 bytes allowed"},
		{"empty file", "",
			"manifest.toml:1:1: missing key \"name\" at the top level\n" +
				"manifest.toml:1:1: missing key \"version\" at the top level\n" +
				`manifest.toml:1:1: missing key "entrypoint" in [workload], and the image has none`},
		{"no TOML", "name = \n",
			"manifest.toml:1:8: unexpected character U+000A at start of value"},
		{"twice the same key", "name = \"a\"\nname = \"b\"\n",
			"manifest.toml:2:1: key name is already defined"},
		{"twice the same table", "[env]\nA = \"1\"\n[env]\nB = \"2\"\n",
			"manifest.toml:3:2: table env already exists"},
		{"unknown key", good + "memory = 1\n",
			`manifest.toml:4:1: unknown key "memory" at the top level; known are "actions", "cloud_init", "devices", ` +
				`"env", "labels", "name", "network", "resources", "runtime", "schema_version", "version", "workload"`},
		{"slip in a key", "nmae = \"a\"\nversion = \"1\"\nworkload.entrypoint = [\"/a\"]\n",
			"manifest.toml:1:1: missing key \"name\" at the top level\n" +
				`manifest.toml:1:1: unknown key "nmae" at the top level; did you mean "name"?`},
		{"slip in a table", good + "[resource]\ncpu_cores = 1\n",
			`manifest.toml:4:2: unknown key "resource" at the top level; did you mean "resources"?`},
		{"slip below a table", good + "[resources]\ncpu_core = 1\n",
			`manifest.toml:5:1: unknown key "cpu_core" in [resources]; did you mean "cpu_cores"?`},
		{"key of another table", good + "memory_mb = 1024\n",
			`manifest.toml:4:1: unknown key "memory_mb" at the top level; did you mean resources.memory_mb?`},
		{"key of another table in a table", good + "[network]\nport = 80\n",
			`manifest.toml:5:1: unknown key "port" in [network]; known are "expose", "mode"`},
		{"args of the older form", good + "workload.args = [\"-v\"]\n",
			`manifest.toml:4:10: unknown key "args" in [workload]; known are "base_url", "entrypoint", "env", ` +
				`"type", "user", "workdir"`},
		{"entrypoint of the older form", "name = \"a\"\nversion = \"1\"\n[workload]\nentrypoint = \"/a\"\n",
			`manifest.toml:4:14: workload.entrypoint must be an array of strings such as ["/a"], not a string`},
		{"name of the wrong type", "name = 7\nversion = \"1\"\nworkload.entrypoint = [\"/a\"]\n",
			"manifest.toml:1:8: name must be a string, not an integer"},
		{"name with capitals", "name = \"Web\"\nversion = \"1\"\nworkload.entrypoint = [\"/a\"]\n",
			`manifest.toml:1:8: name = "Web" is not a name: up to 63 lower-case letters, digits, - and _, a letter ` +
				`or digit first`},
		{"empty version", "name = \"a\"\nversion = \"\"\nworkload.entrypoint = [\"/a\"]\n",
			"manifest.toml:2:11: version must not be empty"},
		{"version with spaces", "name = \"a\"\nversion = \"1 2\"\nworkload.entrypoint = [\"/a\"]\n",
			`manifest.toml:2:11: version = "1 2" is not a version: up to 128 printable characters without spaces`},
		{"missing version", "name = \"a\"\n[workload]\nentrypoint = [\"/a\"]\n",
			`manifest.toml:1:1: missing key "version" at the top level`},
		{"missing entrypoint", "name = \"a\"\nversion = \"1\"\n\n[workload]\ntype = \"exec\"\n",
			`manifest.toml:4:2: missing key "entrypoint" in [workload], and the image has none`},
		{"empty entrypoint", "name = \"a\"\nversion = \"1\"\nworkload.entrypoint = []\n",
			"manifest.toml:3:10: workload.entrypoint must begin with the program to run"},
		{"blank program", "name = \"a\"\nversion = \"1\"\nworkload.entrypoint = [\"\", \"-v\"]\n",
			"manifest.toml:3:10: workload.entrypoint must begin with the program to run"},
		{"number in the entrypoint",
			"name = \"a\"\nversion = \"1\"\nworkload.entrypoint = [\n  \"/a\", # first\n  \"-p\",\n  80,\n]\n",
			"manifest.toml:6:3: workload.entrypoint[2] must be a string, not an integer"},
		{"NUL in the entrypoint", "name = \"a\"\nversion = \"1\"\nworkload.entrypoint = [\"/a\", \"\\u0000\"]\n",
			`manifest.toml:3:30: workload.entrypoint[1] = "\x00" must not have a NUL character`},
		{"other schema", good + "schema_version = \"v2\"\n",
			`manifest.toml:4:18: schema_version = "v2" is not known; did you mean "v1"?`},
		{"cores as text", good + "[resources]\ncpu_cores = \"4\"\n",
			"manifest.toml:5:13: resources.cpu_cores must be an integer, not a string"},
		{"no cores", good + "[resources]\ncpu_cores = 0\n",
			"manifest.toml:5:13: resources.cpu_cores = 0 is out of range: from 1 to 1024"},
		{"half a core", good + "resources = { cpu_cores = 0.5 }\n",
			"manifest.toml:4:27: resources.cpu_cores must be an integer, not a float"},
		{"memory in bytes", good + "resources.memory_mb = 536_870_912\n",
			"manifest.toml:4:23: resources.memory_mb = 536870912 is out of range: from 1 to 16777216"},
		{"resources is no table", good + "resources = 4\n",
			"manifest.toml:4:13: resources must be a table, not an integer"},
		{"resources is an array of tables", good + "[[resources]]\ncpu_cores = 1\n",
			"manifest.toml:4:3: resources must be a table, not an array"},
		{"unknown type", good + "workload.type = \"htpp\"\n",
			`manifest.toml:4:17: workload.type = "htpp" is not known; did you mean "http"?`},
		{"no similar type", good + "workload.type = \"daemon\"\n",
			`manifest.toml:4:17: workload.type = "daemon" is not known; known are "exec", "grpc", "http"`},
		{"http without a port", good + "workload.type = \"http\"\n",
			`manifest.toml:3:1: missing key "base_url" in [workload], and no tcp port is exposed to make it from`},
		{"http with a udp port only",
			good + "workload.type = \"http\"\nnetwork.expose = [{ port = 53, protocol = \"udp\" }]\n",
			`manifest.toml:3:1: missing key "base_url" in [workload], and no tcp port is exposed to make it from`},
		{"base_url without scheme", good + "workload.base_url = \"localhost:80\"\n",
			`manifest.toml:4:21: workload.base_url = "localhost:80" is not a URL of the form http://HOST:PORT/PATH`},
		{"relative workdir", good + "workload.workdir = \"srv\"\n",
			`manifest.toml:4:20: workload.workdir = "srv" must begin with /`},
		{"user with two colons", good + "workload.user = \"a:b:c\"\n",
			`manifest.toml:4:17: workload.user = "a:b:c" is not of the form USER or USER:GROUP, each a name or a number`},
		{"environment with a number", good + "[env]\nPORT = 80\n",
			"manifest.toml:5:8: env.PORT must be a string, not an integer"},
		{"environment with a bad name", good + "[workload.env]\n\"A=B\" = \"c\"\n",
			`manifest.toml:5:1: workload.env: "A=B" is not a name of a variable: printable characters without = and spaces`},
		{"nested environment", good + "[env.A]\nB = \"c\"\n",
			"manifest.toml:4:6: env.A must be a string, not a table"},
		{"unknown network mode", good + "network.mode = \"bridge\"\n",
			`manifest.toml:4:16: network.mode = "bridge" is not known; did you mean "bridged"?`},
		{"port missing", good + "[[network.expose]]\nport = 80\n\n[[network.expose]]\nprotocol = \"udp\"\n",
			`manifest.toml:7:11: missing key "port" in [network.expose[1]]`},
		{"port out of range", good + "network.expose = [{ port = 80 }, { port = 65536 }]\n",
			"manifest.toml:4:43: network.expose[1].port = 65536 is out of range: from 1 to 65535"},
		{"same port twice", good + "network.expose = [{ port = 80 }, { port = 80, protocol = \"tcp\" }]\n",
			"manifest.toml:4:43: network.expose[1].port = 80/tcp is there already"},
		{"ports as numbers", good + "network.expose = [80, 443]\n",
			"manifest.toml:4:19: network.expose[0] must be a table, not an integer\n" +
				"manifest.toml:4:23: network.expose[1] must be a table, not an integer"},
		{"unknown protocol", good + "[[network.expose]]\nport = 80\nprotocol = \"TCP\"\n",
			`manifest.toml:6:12: network.expose[0].protocol = "TCP" is not known; known are "tcp", "udp"`},
		{"unknown key of a port", good + "[[network.expose]]\nport = 80\n[[network.expose]]\nport = 81\nhostport = 8080\n",
			`manifest.toml:8:1: unknown key "hostport" in [network.expose[1]]; did you mean "host_port"?`},
		{"action without a method", good + "[actions.reload]\npath = \"/reload\"\n",
			`manifest.toml:4:10: missing key "method" in [actions.reload]`},
		{"action with a lower-case method", good + "[actions.reload]\npath = \"/reload\"\nmethod = \"post\"\n",
			`manifest.toml:6:10: actions.reload.method = "post" is not known; known are "DELETE", "GET", "HEAD", ` +
				`"OPTIONS", "PATCH", "POST", "PUT"`},
		{"action with a relative path", good + "actions.reload = { method = \"POST\", path = \"reload\" }\n",
			`manifest.toml:4:44: actions.reload.path = "reload" must begin with /`},
		{"action with a bad name", good + "[actions.\"re load\"]\nmethod = \"POST\"\npath = \"/\"\n",
			`manifest.toml:4:10: action "re load" is not a name: up to 63 printable characters without spaces and slashes`},
		{"action that is no table", good + "actions.reload = \"/reload\"\n",
			"manifest.toml:4:18: actions.reload must be a table, not a string"},
		{"timeout in seconds as a float", good + "actions.reload = { method = \"POST\", path = \"/\", timeout_ms = 1.5 }\n",
			"manifest.toml:4:62: actions.reload.timeout_ms must be an integer, not a float"},
		{"cloud-init with both", good + "[cloud_init]\nuser_data = { content = \"a\", path = \"b\" }\n",
			"manifest.toml:5:1: cloud_init.user_data must have either content or path"},
		{"cloud-init with neither", good + "[cloud_init.user_data]\ninline = true\n",
			"manifest.toml:4:13: cloud_init.user_data must have either content or path"},
		{"cloud-init that contradicts itself", good + "[cloud_init.user_data]\ncontent = \"a\"\ninline = false\n",
			"manifest.toml:6:10: cloud_init.user_data.inline must be true here, or left out"},
		{"cloud-init with a date", good + "cloud_init.datasource = 2024-01-01\n",
			"manifest.toml:4:25: cloud_init.datasource must be a string, not a date or time"},
		{"bad PCI address", good + "devices.pci_passthrough = [\"0000:01:00.0\", \"01:00.0\"]\n",
			`manifest.toml:4:44: devices.pci_passthrough[1] = "01:00.0" is not a PCI address such as 0000:01:00.0`},
		{"bad PCI device", good + "devices.allowlist = [\"nvidia:*\"]\n",
			`manifest.toml:4:22: devices.allowlist[0] = "nvidia:*" is not VENDOR:DEVICE or VENDOR:*, each four hex ` +
				`digits, such as 10de:*`},
		{"label of Fledge", good + "labels.\"fledge.x\" = \"y\"\n",
			`manifest.toml:4:8: labels: "fledge.x" begins with fledge., which is kept for Fledge's own labels`},
		{"label that is no text", good + "[labels]\nteam = true\n",
			"manifest.toml:5:8: labels.team must be a string, not a boolean"},
		{"several at once, in order", good + "[network]\nmode = \"brigded\"\n[resources]\nmemory_mb = 0\ncpus = 2\n",
			"manifest.toml:5:8: network.mode = \"brigded\" is not known; did you mean \"bridged\"?\n" +
				"manifest.toml:7:13: resources.memory_mb = 0 is out of range: from 1 to 16777216\n" +
				`manifest.toml:8:1: unknown key "cpus" in [resources]; known are "cpu_cores", "memory_mb"`},
	}
	for i := range tomlread.MaxErrors + 5 {
		many.src += fmt.Sprintf("[env.N%d]\n", i)
		if i < tomlread.MaxErrors {
			many.want += fmt.Sprintf("manifest.toml:%d:6: env.N%d must be a string, not a table\n", 4+i, i)
		}
	}
	many.want += "manifest.toml: and 5 more errors"
	for _, tt := range append(tests, many) {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Generate("manifest.toml", []byte(tt.src), Options{RootFS: image})
			if got := fmt.Sprint(err); got != tt.want {
				t.Errorf("%s\ngot\n%s\nwant\n%s", tt.src, got, tt.want)
			}
		})
	}
}

// TestImageErrors has an image configuration in each row that cannot serve for what manifest.toml leaves out.
func TestImageErrors(t *testing.T) {
	const bare = "name = \"a\"\nversion = \"1\"\n"
	for _, tt := range []struct{ config, src, want string }{
		{`{}`, "",
			`manifest.toml:1:1: missing key "entrypoint" in [workload], and the image has none`},
		{`{"Entrypoint":["/a\u0000"]}`, "",
			`config.json: Entrypoint and Cmd: "/a\x00" must not have a NUL character; set workload.entrypoint in ` +
				`the manifest`},
		{`{"Entrypoint":["/a"],"ExposedPorts":{"http":{}}}`, "",
			`config.json: ExposedPorts: "http" is not a port such as 80/tcp; set network.expose in the manifest`},
		{`{"Entrypoint":["/a"],"ExposedPorts":{"0/tcp":{}}}`, "",
			`config.json: ExposedPorts: "0/tcp" is not a port such as 80/tcp; set network.expose in the manifest`},
		{`{"Entrypoint":["/a"],"ExposedPorts":{"80/sctp":{}}}`, "",
			`config.json: ExposedPorts: "80/sctp" is neither a tcp nor a udp port; set network.expose in the manifest`},
		{`{"Entrypoint":["/a"],"ExposedPorts":{"80/sctp":{}}}`, "network.expose = []\n",
			"<nil>"},
		{`{"Entrypoint":["/a"],"Env":["PATH"]}`, "",
			`config.json: Env: "PATH" is not NAME=value; correct the image`},
		{`{"Entrypoint":["/a"],"Env":["=x"]}`, "",
			`config.json: Env: "=x" is not a name of a variable: printable characters without = and spaces; correct ` +
				`the image`},
		{`{"Entrypoint":["/a"],"WorkingDir":"srv"}`, "",
			`config.json: WorkingDir = "srv" must begin with /; set workload.workdir in the manifest`},
		{`{"Entrypoint":["/a"],"WorkingDir":"srv"}`, "workload.workdir = \"/\"\n",
			"<nil>"},
		{`{"Entrypoint":["/a"],"User":":1"}`, "",
			`config.json: User = ":1" is not of the form USER or USER:GROUP, each a name or a number; set ` +
				`workload.user in the manifest`},
		{`{"Cmd":[""]}`, "nmae = 1\n",
			"manifest.toml:3:1: unknown key \"nmae\" at the top level; did you mean \"name\"?\n" +
				"config.json: Entrypoint and Cmd must begin with the program to run; set workload.entrypoint in the manifest"},
	} {
		c, err := ocilayout.ParseConfig([]byte(`{"config":` + tt.config + `}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Generate("manifest.toml", []byte(bare+tt.src), Options{RootFS: image, Config: c, ConfigFile: "config.json"})
		if got := fmt.Sprint(err); got != tt.want {
			t.Errorf("%s %s\ngot\n%s\nwant\n%s", tt.config, tt.src, got, tt.want)
		}
	}
}
