package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/fledge-build/fledge/internal/tomlread"
)

// Bounds that only catch slips, such as bytes given for megabytes.
const (
	maxCores     = 1024
	maxMemoryMB  = 16 << 20
	maxTimeoutMS = 24 * 60 * 60 * 1000
)

// read makes the manifest of the document, and of name and the image where the document is silent.
func (d *decoder) read(name string, image imageDefaults) *Manifest {
	t := d.Top()
	m := &Manifest{
		SchemaVersion: d.Choice(t, "schema_version", "v1"),
		Name:          cmp.Or(d.Checked(t, "name", checkName), name),
		Version:       d.Checked(t, "version", checkVersion),
		Runtime:       d.Checked(t, "runtime", checkName),
		Enabled:       true,
		Resources:     d.resources(t),
		Env:           d.Texts(t, "env", checkEnv),
		Actions:       d.actions(t),
		CloudInit:     d.cloudInit(t),
		Devices:       d.devices(t),
		Labels:        d.Texts(t, "labels", checkLabel),
	}
	if !t.Has("name") {
		if name == "" {
			d.Missing(t, "name", "")
		} else if err := checkName(name); err != nil {
			d.Missing(t, "name", fmt.Sprintf(", and %q %v", name, err))
		}
	}
	d.Required(t, "version")
	m.Runtime = cmp.Or(m.Runtime, m.Name)
	before := d.Errors()
	d.network(t, m, image)
	portsKnown := before == d.Errors()
	d.workload(t, m, image, portsKnown)
	d.Unknown()
	return m
}

func (d *decoder) resources(top *tomlread.Table) Resources {
	t := d.Sub(top, "resources")
	return Resources{
		CPUCores: d.Integer(t, "cpu_cores", 2, 1, maxCores),
		MemoryMB: d.Integer(t, "memory_mb", 2048, 1, maxMemoryMB),
	}
}

func (d *decoder) network(top *tomlread.Table, m *Manifest, image imageDefaults) {
	t := d.Sub(top, "network")
	m.Network.Mode = d.Choice(t, "mode", "bridged", "dhcp", "vsock")
	for _, e := range d.Subs(t, "expose") {
		d.Required(e, "port")
		p := Port{
			Port:     d.Integer(e, "port", 0, 1, 65535),
			Protocol: d.Choice(e, "protocol", "tcp", "udp"),
			HostPort: d.Integer(e, "host_port", 0, 1, 65535),
		}
		same := func(o Port) bool { return o.Port == p.Port && o.Protocol == p.Protocol }
		if p.Port > 0 && slices.ContainsFunc(m.Network.Expose, same) {
			d.Errorf(d.Data(e, "port"), "%s = %d/%s is there already", e.Field("port"), p.Port, p.Protocol)
		}
		m.Network.Expose = append(m.Network.Expose, p)
	}
	if !t.Has("expose") {
		ports, err := image.ports()
		d.imageError(err, "set network.expose in the manifest")
		m.Network.Expose = ports
	}
}

func (d *decoder) workload(top *tomlread.Table, m *Manifest, image imageDefaults, portsKnown bool) {
	t := d.Sub(top, "workload")
	m.Workload = Workload{
		Type:       d.Choice(t, "type", "exec", "http", "grpc"),
		Entrypoint: d.List(t, "entrypoint", checkArgument),
		BaseURL:    d.Checked(t, "base_url", checkURL),
		Env:        d.Texts(t, "env", checkEnv),
		WorkDir:    d.Checked(t, "workdir", checkAbsolute),
	}
	w := &m.Workload
	if !t.Has("entrypoint") {
		entrypoint, err := image.entrypoint()
		d.imageError(err, "set workload.entrypoint in the manifest")
		if err == nil && len(entrypoint) == 0 {
			d.Missing(t, "entrypoint", ", and the image has none")
		}
		w.Entrypoint = entrypoint
	} else if v, ok := t.Value("entrypoint").([]any); ok && (len(v) == 0 || v[0] == "") {
		d.Errorf(d.Data(t, "entrypoint"), "%s must begin with the program to run", t.Field("entrypoint"))
	}
	if !t.Has("workdir") {
		dir, err := image.workDir()
		d.imageError(err, "set workload.workdir in the manifest")
		w.WorkDir = dir
	}
	if (w.Type == "http" || d.httpOnly) && !t.Has("base_url") {
		w.BaseURL = m.Network.localURL()
		if w.BaseURL == "" && portsKnown {
			d.Missing(t, "base_url", ", and no tcp port is exposed to make it from")
		}
	}
	d.fillEnv(m, image)
	user := d.Checked(t, "user", checkUser)
	if !t.Has("user") && image.User != "" {
		user = image.User
		if err := checkUser(user); err != nil {
			d.imageError(fmt.Errorf("User = %q %w", user, err), "set workload.user in the manifest")
		}
	}
	if user != "" {
		m.Labels[LabelUser] = user
	}
}

// fillEnv adds the image's variables that the document does not set.
func (d *decoder) fillEnv(m *Manifest, image imageDefaults) {
	env, err := image.env()
	d.imageError(err, "correct the image")
	maps.DeleteFunc(env, func(name, _ string) bool {
		_, here := m.Workload.Env[name]
		_, there := m.Env[name]
		return here || there
	})
	maps.Copy(m.Workload.Env, env)
}

func (d *decoder) actions(top *tomlread.Table) map[string]Action {
	all := d.Sub(top, "actions")
	out := make(map[string]Action)
	for _, name := range all.Keys() {
		t := d.Sub(all, name)
		if err := checkActionName(name); err != nil {
			d.Errorf(d.Key(all, name), "action %q %v", name, err)
		}
		if !t.Present() {
			continue
		}
		d.Required(t, "method", "path")
		out[name] = Action{
			Description: d.Text(t, "description"),
			Method:      d.Choice(t, "method", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
			Path:        d.Checked(t, "path", checkAbsolute),
			TimeoutMS:   d.Integer(t, "timeout_ms", 0, 1, maxTimeoutMS),
		}
	}
	return out
}

func (d *decoder) cloudInit(top *tomlread.Table) *CloudInit {
	t := d.Sub(top, "cloud_init")
	c := &CloudInit{
		Datasource:    cmp.Or(d.Text(t, "datasource"), "NoCloud"),
		SeedMode:      d.Choice(t, "seed_mode", "vfat"),
		UserData:      d.cloudDoc(t, "user_data"),
		MetaData:      d.cloudDoc(t, "meta_data"),
		NetworkConfig: d.cloudDoc(t, "network_config"),
	}
	if !top.Has("cloud_init") {
		return nil
	}
	return c
}

func (d *decoder) cloudDoc(parent *tomlread.Table, key string) *CloudDoc {
	t := d.Sub(parent, key)
	doc := &CloudDoc{
		Inline:  d.Boolean(t, "inline"),
		Content: d.Text(t, "content"),
		Path:    d.Text(t, "path"),
	}
	if !t.Present() {
		return nil
	}
	content, path := t.Has("content"), t.Has("path")
	switch {
	case content == path:
		d.Errorf(t.At(), "%s must have either content or path", t.Name())
	case t.Has("inline") && doc.Inline != content:
		d.Errorf(d.Data(t, "inline"), "%s must be %v here, or left out", t.Field("inline"), content)
	}
	doc.Inline = content
	return doc
}

func (d *decoder) devices(top *tomlread.Table) *Devices {
	t := d.Sub(top, "devices")
	v := &Devices{
		PCIPassthrough: d.List(t, "pci_passthrough", checkPCIAddress),
		Allowlist:      d.List(t, "allowlist", checkPCIDevice),
	}
	if len(v.PCIPassthrough)+len(v.Allowlist) == 0 {
		return nil
	}
	return v
}
