package manifest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Bounds that only catch slips, such as bytes given for megabytes.
const (
	maxCores     = 1024
	maxMemoryMB  = 16 << 20
	maxTimeoutMS = 24 * 60 * 60 * 1000
)

// read makes the manifest of the document, and of name and the image where the document is silent.
func (d *decoder) read(name string, image imageDefaults) *Manifest {
	t := d.top()
	m := &Manifest{
		SchemaVersion: d.choice(t, "schema_version", "v1"),
		Name:          cmp.Or(d.checked(t, "name", checkName), name),
		Version:       d.checked(t, "version", checkVersion),
		Runtime:       d.checked(t, "runtime", checkName),
		Enabled:       true,
		Resources:     d.resources(t),
		Env:           d.texts(t, "env", checkEnv),
		Actions:       d.actions(t),
		CloudInit:     d.cloudInit(t),
		Devices:       d.devices(t),
		Labels:        d.texts(t, "labels", checkLabel),
	}
	if !t.has("name") {
		if name == "" {
			d.missing(t, "name", "")
		} else if err := checkName(name); err != nil {
			d.missing(t, "name", fmt.Sprintf(", and %q %v", name, err))
		}
	}
	d.required(t, "version")
	m.Runtime = cmp.Or(m.Runtime, m.Name)
	before := len(d.errs)
	d.network(t, m, image)
	portsKnown := before == len(d.errs)
	d.workload(t, m, image, portsKnown)
	d.unknown()
	return m
}

func (d *decoder) resources(top *table) Resources {
	t := d.sub(top, "resources")
	return Resources{
		CPUCores: d.integer(t, "cpu_cores", 2, 1, maxCores),
		MemoryMB: d.integer(t, "memory_mb", 2048, 1, maxMemoryMB),
	}
}

func (d *decoder) network(top *table, m *Manifest, image imageDefaults) {
	t := d.sub(top, "network")
	m.Network.Mode = d.choice(t, "mode", "bridged", "dhcp", "vsock")
	for _, e := range d.subs(t, "expose") {
		d.required(e, "port")
		p := Port{
			Port:     d.integer(e, "port", 0, 1, 65535),
			Protocol: d.choice(e, "protocol", "tcp", "udp"),
			HostPort: d.integer(e, "host_port", 0, 1, 65535),
		}
		same := func(o Port) bool { return o.Port == p.Port && o.Protocol == p.Protocol }
		if p.Port > 0 && slices.ContainsFunc(m.Network.Expose, same) {
			d.errorf(d.data(e, "port"), "%s = %d/%s is there already", e.field("port"), p.Port, p.Protocol)
		}
		m.Network.Expose = append(m.Network.Expose, p)
	}
	if !t.has("expose") {
		ports, err := image.ports()
		d.imageError(err, "set network.expose in the manifest")
		m.Network.Expose = ports
	}
}

func (d *decoder) workload(top *table, m *Manifest, image imageDefaults, portsKnown bool) {
	t := d.sub(top, "workload")
	m.Workload = Workload{
		Type:       d.choice(t, "type", "exec", "http", "grpc"),
		Entrypoint: d.list(t, "entrypoint", checkArgument),
		BaseURL:    d.checked(t, "base_url", checkURL),
		Env:        d.texts(t, "env", checkEnv),
		WorkDir:    d.checked(t, "workdir", checkAbsolute),
	}
	w := &m.Workload
	if !t.has("entrypoint") {
		entrypoint, err := image.entrypoint()
		d.imageError(err, "set workload.entrypoint in the manifest")
		if err == nil && len(entrypoint) == 0 {
			d.missing(t, "entrypoint", ", and the image has none")
		}
		w.Entrypoint = entrypoint
	} else if v, ok := t.values["entrypoint"].([]any); ok && (len(v) == 0 || v[0] == "") {
		d.errorf(d.data(t, "entrypoint"), "%s must begin with the program to run", t.field("entrypoint"))
	}
	if !t.has("workdir") {
		dir, err := image.workDir()
		d.imageError(err, "set workload.workdir in the manifest")
		w.WorkDir = dir
	}
	if (w.Type == "http" || d.httpOnly) && !t.has("base_url") {
		w.BaseURL = m.Network.localURL()
		if w.BaseURL == "" && portsKnown {
			d.missing(t, "base_url", ", and no tcp port is exposed to make it from")
		}
	}
	d.fillEnv(m, image)
	user := d.checked(t, "user", checkUser)
	if !t.has("user") && image.User != "" {
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

func (d *decoder) actions(top *table) map[string]Action {
	all := d.sub(top, "actions")
	all.free = true
	out := make(map[string]Action, len(all.values))
	for _, name := range slices.Sorted(maps.Keys(all.values)) {
		t := d.sub(all, name)
		if err := checkActionName(name); err != nil {
			d.errorf(d.key(all, name), "action %q %v", name, err)
		}
		if t.values == nil {
			continue
		}
		d.required(t, "method", "path")
		out[name] = Action{
			Description: d.text(t, "description"),
			Method:      d.choice(t, "method", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
			Path:        d.checked(t, "path", checkAbsolute),
			TimeoutMS:   d.integer(t, "timeout_ms", 0, 1, maxTimeoutMS),
		}
	}
	return out
}

func (d *decoder) cloudInit(top *table) *CloudInit {
	t := d.sub(top, "cloud_init")
	c := &CloudInit{
		Datasource:    cmp.Or(d.text(t, "datasource"), "NoCloud"),
		SeedMode:      d.choice(t, "seed_mode", "vfat"),
		UserData:      d.cloudDoc(t, "user_data"),
		MetaData:      d.cloudDoc(t, "meta_data"),
		NetworkConfig: d.cloudDoc(t, "network_config"),
	}
	if !top.has("cloud_init") {
		return nil
	}
	return c
}

func (d *decoder) cloudDoc(parent *table, key string) *CloudDoc {
	t := d.sub(parent, key)
	doc := &CloudDoc{
		Inline:  d.boolean(t, "inline"),
		Content: d.text(t, "content"),
		Path:    d.text(t, "path"),
	}
	if t.values == nil {
		return nil
	}
	content, path := t.has("content"), t.has("path")
	switch {
	case content == path:
		d.errorf(t.at, "%s must have either content or path", t.name)
	case t.has("inline") && doc.Inline != content:
		d.errorf(d.data(t, "inline"), "%s must be %v here, or left out", t.field("inline"), content)
	}
	doc.Inline = content
	return doc
}

func (d *decoder) devices(top *table) *Devices {
	t := d.sub(top, "devices")
	v := &Devices{
		PCIPassthrough: d.list(t, "pci_passthrough", checkPCIAddress),
		Allowlist:      d.list(t, "allowlist", checkPCIDevice),
	}
	if len(v.PCIPassthrough)+len(v.Allowlist) == 0 {
		return nil
	}
	return v
}
