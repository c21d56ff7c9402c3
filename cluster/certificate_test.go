package cluster_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
	"concert/executor"
	"concert/goroutines"
)

// keyFile is the content of a key file.
type keyFile struct {
	text        []byte
	pair        nkeys.KeyPair
	public      string
	certificate []byte
}

func readKeyFile(t *testing.T, file string) (f keyFile) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f.text = text
	f.public, f.pair = keyOf(t, file)
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == wire.CertificateBlock {
			f.certificate = block.Bytes
		}
	}
	return f
}

// authorityOf returns the authority of a keyring.
func authorityOf(t *testing.T, k *keyring) *ecdsa.PrivateKey {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(k.dir, "authority.pem"), filepath.Join(k.dir, "authority.key"))
	if err != nil {
		t.Fatal(err)
	}
	return pair.PrivateKey.(*ecdsa.PrivateKey)
}

// TestServe_Certificates: the authority certifies the signers of tasks as
// clients or admins. If a worker receives a task of a signer without such a
// certificate, the worker must not run the task. The task must become a dead
// letter, and the worker must call Notice.
func TestServe_Certificates(t *testing.T) {
	k, elsewhere := newKeyring(t), newKeyring(t)
	client, work, other, boss := k.access(server.Client, "client"), k.access(server.Worker, "work"), k.access(server.Worker, "other"), k.access(server.Admin, "boss")
	foreign := elsewhere.access(server.Client, "foreign")
	s := guarded(t, k)

	pool := goroutines.New(1, nil)
	ctx, stop := context.WithCancel(context.Background())
	ready, done, notices := make(chan struct{}), make(chan error, 1), make(chan string, 100)
	go func() {
		done <- cluster.Serve(ctx, s.URL(), pool, &cluster.ServeOptions{
			Access: work, Functions: []string{"cluster_test.count"}, Ready: func() { close(ready) }, Notice: func(text string) { notices <- text },
		})
	}()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		pool.Close()
	}()
	<-ready
	in, err := cluster.Inspect(t.Context(), s.URL(), &boss)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	for len(in.Workers()) == 0 {
		time.Sleep(time.Millisecond)
	}
	contract := in.Workers()[0].Capabilities
	all := tap(t, s, boss.Key) // an admin may publish any message, so the test can publish tasks that correct servers would refuse

	invented, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	inventedKey, err := invented.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	certified := readKeyFile(t, client.Key)
	worker, stranger := readKeyFile(t, other.Key), readKeyFile(t, foreign.Key)
	old := readKeyFile(t, k.access(server.Client, "old").Key)
	kings, err := wire.Certify(authorityOf(t, k), "king", inventedKey)
	if err != nil {
		t.Fatal(err)
	}
	f, err := executor.Find("cluster_test.count")
	if err != nil {
		t.Fatal(err)
	}
	const base = 7_100_000
	submit := func(arg int, pair nkeys.KeyPair, public string, certificate []byte) {
		t.Helper()
		signer, err := wire.NewSigner(pair, certificate)
		if err != nil {
			t.Fatal(err)
		}
		e := wire.Envelope{
			ID: wire.TaskID{Client: public, Session: "s", Number: "1"}, Function: f.Name(), Signature: wire.Digest(f.Signature()), Session: "s", Try: "1",
			Arg: wire.Value{Encoded: executor.Encoded{Kind: 13, Bytes: binary.LittleEndian.AppendUint64(nil, uint64(arg))}},
		}
		subject := wire.TaskSubject(contract, public)
		msgs, err := wire.EncodeTasks([]wire.OutgoingTask{{Envelope: e, Subject: subject}}, signer)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := all.Request(subject, msgs[0], 20*time.Second); err != nil || bytes.Contains(answer.Data, []byte(`"error"`)) {
			t.Fatalf("%s, %v", answer.Data, err)
		}
	}
	forgers := map[string]string{} // the reason of the dead letter, by key
	for i, c := range []struct {
		name        string
		pair        nkeys.KeyPair
		public      string
		certificate []byte
		want        string
	}{
		{"a client's key without its certificate", old.pair, old.public, nil, "no certificate"},
		{"a worker's key, with its own certificate", worker.pair, worker.public, worker.certificate, "has the role worker"},
		{"a client of another authority", stranger.pair, stranger.public, stranger.certificate, "not signed by this authority"},
		{"an invented key, with the certificate of a client", invented, inventedKey, certified.certificate, "not signed by this authority"},
		{"an invented key, with another role", invented, inventedKey, kings, "has the role king"},
	} {
		t.Run(c.name, func(t *testing.T) {
			submit(base+i, c.pair, c.public, c.certificate)
			forgers[c.public] = c.want
			if c.public == inventedKey {
				return // there is one notice for each key
			}
			select {
			case text := <-notices:
				if !strings.Contains(text, c.public) || !strings.Contains(text, c.want) {
					t.Errorf("%s: the notice is %q, want %q", c.name, text, c.want)
				}
			case <-time.After(20 * time.Second):
				t.Errorf("%s: no notice", c.name)
			}
		})
	}
	// After that, tasks of a client and an admin must still run.
	for i, access := range []cluster.Access{client, boss} {
		ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: access, Notice: func(string) {}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := concert.Submit(t.Context(), ex, count, base+50+i).Result(t.Context()); err != nil {
			t.Error(err)
		}
		if err := ex.Close(); err != nil {
			t.Error(err)
		}
	}
	for i := range 5 {
		if _, ran := runs.Load(base + i); ran {
			t.Errorf("task %d of a forger was run", i)
		}
	}
	letters, err := in.DeadLetters(t.Context(), 0, 100)
	if err != nil || len(letters) != 5 {
		t.Errorf("%d dead letters, %v; want 5", len(letters), err)
	}
	for _, l := range letters {
		if want, known := forgers[l.Client]; !known || l.Client != inventedKey && !strings.Contains(l.Reason, want) {
			t.Errorf("dead letter %+v, want the reason %q", l, want)
		}
	}
}

// TestKeyFile_Damaged: if a key file is damaged, or was written by an earlier
// version, Dial must return an error that names the file and says what is
// wrong.
func TestKeyFile_Damaged(t *testing.T) {
	k, elsewhere := newKeyring(t), newKeyring(t)
	client, work, foreign := k.access(server.Client, "client"), k.access(server.Worker, "work"), elsewhere.access(server.Client, "foreign")
	s := guarded(t, k)
	text := string(readKeyFile(t, client.Key).text)
	begin := strings.Index(text, "-----BEGIN "+wire.CertificateBlock)
	authority := strings.Index(text, "-----BEGIN CERTIFICATE")
	theirs := string(readKeyFile(t, foreign.Key).text)
	theirCertificate := theirs[strings.Index(theirs, "-----BEGIN "+wire.CertificateBlock):]
	workText := string(readKeyFile(t, work.Key).text)
	workCertificate := workText[strings.Index(workText, "-----BEGIN "+wire.CertificateBlock):]
	for _, c := range []struct{ name, text, want string }{
		{"of an earlier version", text[:begin], "no certificate of its key"},
		{"of an earlier version, with advice", text[:begin], "make the key again, with concertd key"},
		{"without the authority", text[:authority] + text[begin:], "the certificate of the authority is missing"},
		{"with another authority's certificate", text[:begin] + theirCertificate, "not signed by this authority"},
		{"with another key's certificate", text[:begin] + workCertificate, "not signed by this authority"},
		{"with a damaged authority", text[:authority+60] + text[authority+61:], "a certificate is damaged"},
		{"with a damaged first line of the authority", text[:authority+8] + "X" + text[authority+9:], "a certificate is damaged"},
		{"with both first lines damaged", strings.ReplaceAll(text, "-----BEGIN ", "----BEGIN "), "a certificate is damaged"},
		{"without a first line", text[:authority] + text[authority+strings.IndexByte(text[authority:], '\n'):], "a certificate is damaged"},
		{"with a damaged certificate", strings.TrimSuffix(strings.TrimSpace(text), "-"), "a certificate is damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: cluster.Access{Key: file}})
			if err == nil {
				ex.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	t.Run("of a worker, without the authority", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(workText[:strings.Index(workText, "-----BEGIN")]), 0o600); err != nil {
			t.Fatal(err)
		}
		pool := goroutines.New(1, nil)
		defer pool.Close()
		access := cluster.Access{Key: file, TLS: &tls.Config{InsecureSkipVerify: true}}
		err := cluster.Serve(t.Context(), s.URL(), pool, &cluster.ServeOptions{Access: access})
		if err == nil || !strings.Contains(err.Error(), "no certificate of the authority") {
			t.Errorf("%v, want that there is no authority", err)
		}
	})
}
