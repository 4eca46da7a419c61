package main

import (
	"encoding/hex"
	"testing"
)

const bundle = `# a comment
-----BEGIN CERTIFICATE-----
AQID
-----END CERTIFICATE-----
-----BEGIN PUBLIC KEY-----
BAUG
-----END PUBLIC KEY-----
`

func TestKeyStore(t *testing.T) {
	certs := certificates([]byte(bundle))
	if len(certs) != 1 {
		t.Fatalf("got %d certificates, want 1", len(certs))
	}
	const want = "feedfeed" + "00000002" + "00000001" + // magic, version, entries
		"00000002" + "0003" + "636130" + "0000000000000000" + // kind, alias, date
		"0005" + "582e353039" + "00000003" + "010203" // type, certificate
	got := hex.EncodeToString(keyStore(certs, "changeit"))
	if len(got) != len(want)+40 || got[:len(want)] != want {
		t.Errorf("got  %s\nwant %s and a SHA-1", got, want)
	}
}
