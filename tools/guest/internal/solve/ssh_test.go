//go:build linux

package solve

import (
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"net"
	"testing"

	"github.com/moby/buildkit/session/sshforward"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/test/bufconn"
)

// The agents answer with the keys given, through BuildKit's protocol.
func TestSSHAgents(t *testing.T) {
	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	agents, err := sshAgents([]string{"git"}, map[string][]byte{"git": pem.EncodeToMemory(block)})
	if err != nil {
		t.Fatal(err)
	}
	server, pipe := grpc.NewServer(), bufconn.Listen(1<<16)
	agents.Register(server)
	go server.Serve(pipe)
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(sshforward.KeySSHID, "git"))
	stream, err := sshforward.NewSSHClient(conn).ForwardAgent(ctx)
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	go sshforward.Copy(ctx, far, stream, stream.CloseSend)
	keys, err := agent.NewClient(near).List()
	if err != nil {
		t.Fatal(err)
	}
	want, err := ssh.NewPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 1 || string(keys[0].Marshal()) != string(want.Marshal()) {
		t.Errorf("got %v", keys)
	}
	if _, err := sshAgents([]string{"other"}, nil); err == nil {
		t.Error("a key that is not given is no error")
	}
}
