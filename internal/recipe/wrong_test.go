package recipe

import "strings"

// Whether the schema, with which editors complete the file, sees the mistake too.
const (
	seen   = true
	unseen = false
)

// wrong is a wrong fledge.toml, with the whole message.
type wrong struct {
	name, src string
	schema    bool
	want      string
}

// Parts of good recipes, to which the cases add.
const (
	head       = "version = \"1\"\nstrategy = \"oci_rootfs\"\n"
	kestrel    = "[agent]\nsource_strategy = \"release\"\nversion = \"latest\"\n"
	source     = "[source]\nimage = \"nginx:alpine\"\n"
	filesystem = "[filesystem]\ntype = \"squashfs\"\n"
	oci        = head + kestrel + source + filesystem // 9 lines
	erofsOci   = head + kestrel + source + "[filesystem]\ntype = \"erofs\"\n"
	ext4Oci    = head + kestrel + source + "[filesystem]\ntype = \"ext4\"\n"
	xfsOci     = head + kestrel + source + "[filesystem]\ntype = \"xfs\"\n"
	btrfsOci   = head + kestrel + source + "[filesystem]\ntype = \"btrfs\"\n"
	cpio       = "version = \"1\"\nstrategy = \"initramfs\"\n"
	dockerfile = "[source]\ndockerfile = \"Dockerfile\"\n"
	sum        = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// wrongTop are mistakes at the top level.
var wrongTop = []wrong{
	{"huge file", oci + strings.Repeat(" ", MaxSize), unseen,
		`fledge.toml:1:1: the file has more than the 1048576 bytes allowed`},
	{"empty file", "", seen,
		"fledge.toml:1:1: missing key \"version\" at the top level: write version = \"1\"\n" +
			`fledge.toml:1:1: missing key "strategy" at the top level: add strategy = "oci_rootfs" or "initramfs"`},
	{"no TOML", "version = \n", unseen,
		`fledge.toml:1:11: unexpected character U+000A at start of value`},
	{"string without its end", "version = \"1\n", unseen,
		`fledge.toml:1:13: basic strings cannot have new lines`},
	{"twice the same key", "version = \"1\"\nversion = \"1\"\n", unseen,
		`fledge.toml:2:1: key version is already defined`},
	{"twice the same table", oci + "[source]\n", unseen,
		`fledge.toml:10:2: table source already exists`},
	{"one source twice", oci + "[mappings]\n\"a\" = \"/a\"\n\"a\" = \"/b\"\n", unseen,
		`fledge.toml:12:1: key a is already defined`},
	{"missing version", "strategy = \"initramfs\"\n", seen,
		`fledge.toml:1:1: missing key "version" at the top level: write version = "1"`},
	{"version as a number", "version = 1\nstrategy = \"initramfs\"\n", seen,
		`fledge.toml:1:11: version must be a string; write version = "1"`},
	{"version as a float", "version = 1.0\nstrategy = \"initramfs\"\n", seen,
		`fledge.toml:1:11: version must be a string; write version = "1"`},
	{"newer version", "version = \"2\"\nstrategy = \"initramfs\"\n", seen,
		`fledge.toml:1:11: version = "2" is not known; write version = "1", or use a newer fledge`},
	{"version of a program", "version = \"1.0.0\"\nstrategy = \"initramfs\"\n", seen,
		`fledge.toml:1:11: version = "1.0.0" is not known; write version = "1", or use a newer fledge`},
	{"empty version", "version = \"\"\nstrategy = \"initramfs\"\n", seen,
		`fledge.toml:1:11: version must be a string; write version = "1"`},
	{"missing strategy", "version = \"1\"\n", seen,
		`fledge.toml:1:1: missing key "strategy" at the top level: add strategy = "oci_rootfs" or "initramfs"`},
	{"missing strategy, other mistakes", "version = \"1\"\n[filesystem]\ncompression_level = 0\n", seen,
		"fledge.toml:1:1: missing key \"strategy\" at the top level: add strategy = \"oci_rootfs\" or \"initramfs\"\n" +
			`fledge.toml:3:21: filesystem.compression_level = 0 is out of range: from 1 to 22`},
	{"slip in the strategy", "version = \"1\"\nstrategy = \"oci-rootfs\"\n", seen,
		`fledge.toml:2:12: strategy = "oci-rootfs" is not known; did you mean "oci_rootfs"?`},
	{"strategy with a capital", "version = \"1\"\nstrategy = \"Initramfs\"\n", seen,
		`fledge.toml:2:12: strategy = "Initramfs" is not known; did you mean "initramfs"?`},
	{"unknown strategy", "version = \"1\"\nstrategy = \"docker\"\n", seen,
		`fledge.toml:2:12: strategy = "docker" is not known; known are "initramfs", "oci_rootfs"`},
	{"empty strategy", "version = \"1\"\nstrategy = \"\"\n", seen,
		`fledge.toml:2:12: strategy must not be empty`},
	{"strategy as a list", "version = \"1\"\nstrategy = [\"initramfs\"]\n", seen,
		`fledge.toml:2:1: strategy must be a string, not an array`},
	{"strategy as a table", "version = \"1\"\n[strategy]\noci_rootfs = true\n", seen,
		`fledge.toml:2:2: strategy must be a string, not a table`},
	{"unknown key", cpio + "output = \"a\"\n", seen,
		`fledge.toml:3:1: unknown key "output" at the top level; known are "agent", "filesystem", "init", ` +
			`"kernel", "mappings", "source", "strategy", "version"`},
	{"slip in a key", "verison = \"1\"\nstrategy = \"initramfs\"\n", seen,
		"fledge.toml:1:1: missing key \"version\" at the top level: write version = \"1\"\n" +
			`fledge.toml:1:1: unknown key "verison" at the top level; did you mean "version"?`},
	{"slip in a table", cpio + "[mapping]\n\"a\" = \"/a\"\n", seen,
		`fledge.toml:3:2: unknown key "mapping" at the top level; did you mean "mappings"?`},
	{"table in the plural", cpio + "[sources]\nimage = \"a\"\n", seen,
		`fledge.toml:3:2: unknown key "sources" at the top level; did you mean "source"?`},
	{"key of another table", cpio + "image = \"nginx\"\n", seen,
		`fledge.toml:3:1: unknown key "image" at the top level; did you mean source.image?`},
	{"key after a table", oci + "[source.build]\nargs = 1\n", seen,
		`fledge.toml:10:9: unknown key "build" in [source]; did you mean "build_args"?`},
	{"key of the manifest", oci + "[resources]\nmemory_mb = 512\n", seen,
		`fledge.toml:10:2: "resources" says how the image runs; move it to manifest.toml`},
	{"name of the manifest", "name = \"web\"\n" + cpio, seen,
		`fledge.toml:1:1: "name" says how the image runs; move it to manifest.toml`},
	{"array of tables", cpio + "[[source]]\nimage = \"a\"\n", seen,
		`fledge.toml:3:3: source must be a table, not an array`},
	{"source is no table", cpio + "source = \"nginx\"\n", seen,
		`fledge.toml:3:10: source must be a table, not a string`},
	{"several at once, in order",
		"version = \"1\"\nstrategy = \"oci_rootfs\"\n[source]\nimage = \"a b\"\ntarget = 1\n[filesystem]\n" +
			"typ = \"ext4\"\ncompression_level = 99\n", seen,
		"fledge.toml:1:1: missing key \"agent\" at the top level, which strategy = \"oci_rootfs\" needs: add " +
			"[agent] with source_strategy = \"release\" and version = \"latest\"\n" +
			"fledge.toml:4:9: source.image = \"a b\" is not an image: give one without spaces, such as \"nginx:alpine\"\n" +
			"fledge.toml:5:10: source.target must be a string, not an integer\n" +
			"fledge.toml:7:1: unknown key \"typ\" in [filesystem]; did you mean \"type\"?\n" +
			`fledge.toml:8:21: filesystem.compression_level = 99 is out of range: from 1 to 22`},
}

// wrongAgent are mistakes in [agent].
var wrongAgent = []wrong{
	{"no agent", head + source + filesystem, seen,
		`fledge.toml:1:1: missing key "agent" at the top level, which strategy = "oci_rootfs" needs: add [agent] ` +
			`with source_strategy = "release" and version = "latest"`},
	{"agent is no table", head + "agent = \"release\"\n" + source + filesystem, seen,
		`fledge.toml:3:9: agent must be a table, not a string`},
	{"empty agent", head + "[agent]\n" + source + filesystem, seen,
		`fledge.toml:3:2: missing key "source_strategy" in [agent]: "release", "local" or "http"`},
	{"agent without a strategy", head + "[agent]\nversion = \"latest\"\n" + source + filesystem, seen,
		`fledge.toml:3:2: missing key "source_strategy" in [agent]: "release", "local" or "http"`},
	{"slip in the agent strategy", cpio + "[agent]\nsource_strategy = \"relase\"\nversion = \"latest\"\n", seen,
		`fledge.toml:4:19: agent.source_strategy = "relase" is not known; did you mean "release"?`},
	{"unknown agent strategy", cpio + "[agent]\nsource_strategy = \"git\"\nversion = \"latest\"\n", seen,
		`fledge.toml:4:19: agent.source_strategy = "git" is not known; known are "http", "local", "release"`},
	{"empty agent strategy", cpio + "[agent]\nsource_strategy = \"\"\n", seen,
		`fledge.toml:4:19: agent.source_strategy must not be empty`},
	{"agent strategy of the wrong type", cpio + "[agent]\nsource_strategy = true\n", seen,
		`fledge.toml:4:19: agent.source_strategy must be a string, not a boolean`},
	{"strategy under its short name", cpio + "[agent]\nstrategy = \"release\"\nversion = \"latest\"\n", seen,
		"fledge.toml:3:2: missing key \"source_strategy\" in [agent]: \"release\", \"local\" or \"http\"\n" +
			`fledge.toml:4:1: unknown key "strategy" in [agent]; did you mean "source_strategy"?`},
	{"release without a version", cpio + "[agent]\nsource_strategy = \"release\"\n", seen,
		`fledge.toml:3:2: missing key "version" in [agent], which source_strategy = "release" needs: a tag such ` +
			`as "v0.7.3", or "latest"`},
	{"version with a space", cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v0 7\"\n", seen,
		`fledge.toml:5:11: agent.version: "v0 7" is no tag: letters, digits and ._-+/`},
	{"agent version as a number", cpio + "[agent]\nsource_strategy = \"release\"\nversion = 0.7\n", seen,
		`fledge.toml:5:11: agent.version must be a string, not a float`},
	{"empty agent version", cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"\"\n", seen,
		`fledge.toml:5:11: agent.version must not be empty`},
	{"repository by name",
		cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\nrepository = \"volantvm/volant\"\n", seen,
		`fledge.toml:6:14: agent.repository: "volantvm/volant" is no https URL, such as https://example.com/PATH`},
	{"repository without an owner",
		cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\n" +
			"repository = \"https://github.com/volant\"\n", seen,
		`fledge.toml:6:14: agent.repository "https://github.com/volant": expected https://github.com/OWNER/NAME`},
	{"repository over http",
		cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\nrepository = \"http://example.com/a/b\"\n", unseen,
		`fledge.toml:6:14: agent.repository: http://example.com/a/b: plain http is for this machine alone; use https`},
	{"path of a release", cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\npath = \"kestrel\"\n", seen,
		`fledge.toml:6:1: agent.path belongs to source_strategy = "local", not "release"; remove it`},
	{"url of a release",
		cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\nurl = \"https://example.com/kestrel\"\n", seen,
		`fledge.toml:6:1: agent.url belongs to source_strategy = "http", not "release"; remove it`},
	{"checksum of a release",
		cpio + "[agent]\nsource_strategy = \"release\"\nversion = \"v1\"\nchecksum = \"" + sum + "\"\n", seen,
		`fledge.toml:6:1: agent.checksum belongs to source_strategy = "http", not "release"; remove it`},
	{"local without a path", cpio + "[agent]\nsource_strategy = \"local\"\n", seen,
		`fledge.toml:3:2: missing key "path" in [agent], which source_strategy = "local" needs: the agent's file`},
	{"local with a url", cpio + "[agent]\nsource_strategy = \"local\"\nurl = \"https://example.com/kestrel\"\n", seen,
		"fledge.toml:3:2: missing key \"path\" in [agent], which source_strategy = \"local\" needs: the agent's file\n" +
			`fledge.toml:5:1: agent.url belongs to source_strategy = "http", not "local"; remove it`},
	{"version of a local one", cpio + "[agent]\nsource_strategy = \"local\"\npath = \"kestrel\"\nversion = \"v1\"\n", seen,
		`fledge.toml:6:1: agent.version belongs to source_strategy = "release", not "local"; remove it`},
	{"empty path", cpio + "[agent]\nsource_strategy = \"local\"\npath = \"\"\n", seen,
		`fledge.toml:5:8: agent.path must not be empty`},
	{"NUL in the path", cpio + "[agent]\nsource_strategy = \"local\"\npath = \"a\\u0000\"\n", unseen,
		`fledge.toml:5:8: agent.path must not have a NUL character`},
	{"http without a url", cpio + "[agent]\nsource_strategy = \"http\"\n", seen,
		`fledge.toml:3:2: missing key "url" in [agent], which source_strategy = "http" needs: https://HOST/PATH ` +
			`of the agent`},
	{"http with a repository",
		cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/k\"\n" +
			"repository = \"https://github.com/a/b\"\n", seen,
		`fledge.toml:6:1: agent.repository belongs to source_strategy = "release", not "http"; remove it`},
	{"url without a scheme", cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"example.com/kestrel\"\n", seen,
		`fledge.toml:5:7: agent.url: "example.com/kestrel" is no https URL, such as https://example.com/PATH`},
	{"url over plain http", cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"http://example.com/kestrel\"\n", unseen,
		`fledge.toml:5:7: agent.url: http://example.com/kestrel: plain http is for this machine alone; use https`},
	{"url with a password",
		cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://me:secret@example.com/kestrel\"\n", unseen,
		`fledge.toml:5:7: agent.url: https://example.com/kestrel has a user in it: builds read credentials from ` +
			`~/.netrc`},
	{"file url", cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"file:///kestrel\"\n", seen,
		`fledge.toml:5:7: agent.url: "file:///kestrel" is no https URL, such as https://example.com/PATH`},
	{"short checksum",
		cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/k\"\nchecksum = \"sha256:0123\"\n", seen,
		`fledge.toml:6:12: agent.checksum = "sha256:0123" is not a SHA-256: 64 hexadecimal digits, with sha256: ` +
			`before them or without`},
	{"checksum of another kind",
		cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/k\"\n" +
			"checksum = \"md5:" + sum + "\"\n", seen,
		`fledge.toml:6:12: agent.checksum = ` +
			`"md5:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" is not a SHA-256: 64 hexadecimal ` +
			`digits, with sha256: before them or without`},
	{"slip in a key of the agent",
		cpio + "[agent]\nsource_strategy = \"http\"\nurl = \"https://example.com/k\"\nsha256 = \"" + sum + "\"\n", seen,
		`fledge.toml:6:1: unknown key "sha256" in [agent]; known are "checksum", "path", "repository", ` +
			`"source_strategy", "url", "version"`},
	{"agent with a custom init", cpio + kestrel + "[init]\npath = \"/sbin/init\"\n", seen,
		`fledge.toml:3:2: [agent] is started by Fledge's default init alone; remove it, or [init] path`},
	{"agent without an init", cpio + kestrel + "[init]\nnone = true\n", seen,
		`fledge.toml:3:2: [agent] is started by Fledge's default init alone; remove it, or [init] none = true`},
}

// wrongSource are mistakes in [source].
var wrongSource = []wrong{
	{"no source", head + kestrel + filesystem, seen,
		`fledge.toml:1:1: missing key "image" in [source]: strategy = "oci_rootfs" needs image or dockerfile`},
	{"empty source", head + kestrel + "[source]\n" + filesystem, seen,
		`fledge.toml:6:2: missing key "image" in [source]: strategy = "oci_rootfs" needs image or dockerfile`},
	{"image and dockerfile", head + kestrel + filesystem + source + "dockerfile = \"Dockerfile\"\n", seen,
		`fledge.toml:10:1: source.image and source.dockerfile exclude each other; keep one of them`},
	{"dockerfile and image",
		head + kestrel + filesystem + "[source]\ndockerfile = \"Dockerfile\"\nimage = \"nginx\"\n", seen,
		`fledge.toml:9:1: source.image and source.dockerfile exclude each other; keep one of them`},
	{"empty image", head + kestrel + filesystem + "[source]\nimage = \"\"\n", seen,
		`fledge.toml:9:9: source.image must not be empty`},
	{"image with a space", head + kestrel + filesystem + "[source]\nimage = \"nginx alpine\"\n", seen,
		`fledge.toml:9:9: source.image = "nginx alpine" is not an image: give one without spaces, such as ` +
			`"nginx:alpine"`},
	{"image with a line break", head + kestrel + filesystem + "[source]\nimage = \"nginx\\n\"\n", seen,
		"fledge.toml:9:9: source.image = \"nginx\\n\" is not an image: give one without spaces, such as " +
			"\"nginx:alpine\""},
	{"image as a list", head + kestrel + filesystem + "[source]\nimage = [\"nginx\", \"alpine\"]\n", seen,
		`fledge.toml:9:1: source.image must be a string, not an array`},
	{"images", head + kestrel + filesystem + "[source]\nimages = \"nginx\"\n", seen,
		"fledge.toml:8:2: missing key \"image\" in [source]: strategy = \"oci_rootfs\" needs image or dockerfile\n" +
			`fledge.toml:9:1: unknown key "images" in [source]; did you mean "image"?`},
	{"Dockerfile with a capital", head + kestrel + filesystem + "[source]\nDockerfile = \"Dockerfile\"\n", seen,
		"fledge.toml:8:2: missing key \"image\" in [source]: strategy = \"oci_rootfs\" needs image or dockerfile\n" +
			`fledge.toml:9:1: unknown key "Dockerfile" in [source]; did you mean "dockerfile"?`},
	{"empty dockerfile", head + kestrel + filesystem + "[source]\ndockerfile = \"\"\n", seen,
		`fledge.toml:9:14: source.dockerfile must not be empty`},
	{"dockerfile = true", head + kestrel + filesystem + "[source]\ndockerfile = true\n", seen,
		`fledge.toml:9:14: source.dockerfile must be a string, not a boolean`},
	{"context of an image", oci[:len(oci)-len(filesystem)] + "context = \".\"\n" + filesystem, seen,
		`fledge.toml:8:1: source.context is for a Dockerfile; add source.dockerfile, or remove it`},
	{"target of an image", head + kestrel + filesystem + source + "target = \"release\"\n", seen,
		`fledge.toml:10:1: source.target is for a Dockerfile; add source.dockerfile, or remove it`},
	{"build_args of an image", head + kestrel + filesystem + source + "build_args = { A = \"b\" }\n", seen,
		`fledge.toml:10:1: source.build_args is for a Dockerfile; add source.dockerfile, or remove it`},
	{"build_args alone", cpio + "[source.build_args]\nA = \"b\"\n", seen,
		`fledge.toml:3:9: source.build_args is for a Dockerfile; add source.dockerfile, or remove it`},
	{"build_args as a list", cpio + dockerfile + "build_args = [\"A=b\"]\n", seen,
		`fledge.toml:5:1: source.build_args must be a table, not an array`},
	{"build argument as a number", cpio + dockerfile + "build_args = { A = 1 }\n", seen,
		`fledge.toml:5:20: source.build_args.A must be a string, not an integer`},
	{"build argument with =", cpio + dockerfile + "build_args = { \"A=b\" = \"c\" }\n", seen,
		`fledge.toml:5:16: source.build_args: "A=b" is not the name of an ARG: letters, digits and _, no digit first`},
	{"build argument with a hyphen", cpio + dockerfile + "build_args = { a-b = \"c\" }\n", seen,
		`fledge.toml:5:16: source.build_args: "a-b" is not the name of an ARG: letters, digits and _, no digit first`},
	{"build argument with a digit first", cpio + dockerfile + "build_args = { 1A = \"c\" }\n", seen,
		`fledge.toml:5:16: source.build_args: "1A" is not the name of an ARG: letters, digits and _, no digit first`},
	{"build argument without a name", cpio + dockerfile + "build_args = { \"\" = \"c\" }\n", seen,
		`fledge.toml:5:16: source.build_args: "" is not the name of an ARG: letters, digits and _, no digit first`},
	{"NUL in a build argument", cpio + dockerfile + "build_args = { A = \"\\u0000\" }\n", unseen,
		`fledge.toml:5:16: source.build_args: "A" has a NUL character in its value`},
	{"context of the wrong type", cpio + dockerfile + "context = [\"a\", \"b\"]\n", seen,
		`fledge.toml:5:1: source.context must be a string, not an array`},
	{"target of the wrong type", cpio + dockerfile + "target = 1\n", seen,
		`fledge.toml:5:10: source.target must be a string, not an integer`},
	{"build-args", cpio + dockerfile + "build-args = { A = \"b\" }\n", seen,
		`fledge.toml:5:1: unknown key "build-args" in [source]; did you mean "build_args"?`},
	{"args", cpio + dockerfile + "args = { A = \"b\" }\n", seen,
		`fledge.toml:5:1: unknown key "args" in [source]; did you mean "build_args"?`},
	{"busybox of a root file system",
		head + kestrel + filesystem + source + "busybox_url = \"https://example.com/busybox\"\n", seen,
		`fledge.toml:10:1: source.busybox_url is for strategy = "initramfs"; remove it`},
	{"checksum without a busybox", cpio + "[source]\nbusybox_sha256 = \"" + sum + "\"\n", seen,
		`fledge.toml:4:1: source.busybox_sha256 needs source.busybox_url, the file that it is of`},
	{"checksum of busybox too long",
		cpio + "[source]\nbusybox_url = \"https://example.com/busybox\"\nbusybox_sha256 = \"" + sum + "0\"\n", seen,
		`fledge.toml:5:18: source.busybox_sha256 = ` +
			`"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0" is not a SHA-256: 64 hexadecimal ` +
			`digits, with sha256: before them or without`},
	{"busybox as a path", cpio + "[source]\nbusybox_url = \"./busybox\"\n", seen,
		`fledge.toml:4:15: source.busybox_url: "./busybox" is no https URL, such as https://example.com/PATH`},
	{"busybox over ftp", cpio + "[source]\nbusybox_url = \"ftp://example.com/busybox\"\n", seen,
		`fledge.toml:4:15: source.busybox_url: "ftp://example.com/busybox" is no https URL, such as ` +
			`https://example.com/PATH`},
	{"busybox_sha", cpio + "[source]\nbusybox_url = \"https://example.com/busybox\"\nbusybox_sha = \"0\"\n", seen,
		`fledge.toml:5:1: unknown key "busybox_sha" in [source]; did you mean "busybox_sha256"?`},
}
