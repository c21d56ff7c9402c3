package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// patience is the maximum time of an answer on a busy machine.
const patience = time.Minute

// outcast is a connection with a key whose holder attempts what its role does
// not permit. It records all messages that it receives.
type outcast struct {
	*keyHolder

	mu       sync.Mutex
	received []*client.Msg // guarded by mu
}

// listen subscribes to all subjects on the connection of a key.
func listen(v *keyHolder) *outcast {
	v.Helper()
	o := &outcast{keyHolder: v}
	_, err := o.nc.Subscribe(">", func(m *client.Msg) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.received = append(o.received, m)
	})
	if err != nil || o.nc.Flush() != nil {
		v.Fatal(err)
	}
	return o
}

// messages returns the received messages.
func (o *outcast) messages() []*client.Msg {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.received)
}

// scene is a cluster with a client and a worker that have secrets, an outcast,
// and an admin. The admin receives all messages in the account of the streams.
type scene struct {
	victims
	outcast *outcast
	admin   *outcast
}

func newScene(t *testing.T, role Role) *scene {
	t.Helper()
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ann, box := holder(t, k, Client, "ann"), holder(t, k, Worker, "box")
	rogue, boss := holder(t, k, role, "rogue"), holder(t, k, Admin, "boss")
	s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*keyHolder{ann, box, rogue, boss} {
		v.connect(s)
	}
	set := wire.CapabilitySet{Functions: map[string]string{"f": "signature"}}
	if w := box.handshakes(wire.Handshake{Capabilities: &set}); w.Error != "" {
		t.Fatal(w.Error)
	}
	if w := ann.handshakes(wire.Handshake{Session: secretSession, Stream: wire.ResultStream}); w.Error != "" {
		t.Fatal(w.Error)
	}
	sc := &scene{
		victims: victims{client: ann.public, worker: box.public, contract: set.Name()},
		outcast: listen(rogue), admin: listen(boss),
	}
	sc.publishSecrets(boss.nc)
	return sc
}

// publishSecrets publishes the secrets of the victims. If it is called again,
// ResultStream and KeptStream refuse the secrets that they still have.
func (sc *scene) publishSecrets(nc *client.Conn) {
	sc.admin.Helper()
	for subject, secret := range sc.secrets() {
		if err := nc.Publish(subject, []byte(secret)); err != nil {
			sc.admin.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		sc.admin.Fatal(err)
	}
}

// settle waits until the servers have processed all requests of the outcast. To
// find that out, the outcast sends a last message, and settle waits until the
// admin has received it.
func (sc *scene) settle() {
	sc.outcast.Helper()
	last := wire.BlobSubject(wire.ArgumentName(sc.outcast.public), 0)
	if sc.outcast.role == Worker {
		last = wire.BlobSubject(wire.ResultName(sc.client, sc.outcast.public), 0)
	}
	if _, err := sc.outcast.nc.Request(last, []byte("last"), patience); err != nil {
		sc.outcast.Fatal(err)
	}
	if err := sc.admin.nc.Flush(); err != nil {
		sc.outcast.Fatal(err)
	}
	for begin := time.Now(); !slices.ContainsFunc(sc.admin.messages(), func(m *client.Msg) bool { return m.Subject == last }); time.Sleep(time.Millisecond) {
		if time.Since(begin) > patience {
			sc.outcast.Fatalf("%s was not received", last)
		}
	}
}

// state returns all data of the servers, as lines: the streams with their
// configurations, the consumers, and the subjects of messages that the outcast
// must not write to. It leaves out heartbeats, which expire.
func (sc *scene) state() (all []string) {
	sc.admin.Helper()
	streams := sc.admin.js.ListStreams(sc.admin.Context(), jetstream.WithStreamListSubject(">"))
	for info := range streams.Info() {
		name := info.Config.Name
		config, err := json.Marshal(info.Config)
		if err != nil {
			sc.admin.Fatal(err)
		}
		all = append(all, fmt.Sprintf("stream %s %s", name, config))
		stream, err := sc.admin.js.Stream(sc.admin.Context(), name)
		if err != nil {
			sc.admin.Fatal(err)
		}
		consumers := stream.ConsumerNames(sc.admin.Context())
		for c := range consumers.Name() {
			all = append(all, fmt.Sprintf("consumer %s of %s", c, name))
		}
		info, err := stream.Info(sc.admin.Context(), jetstream.WithSubjectFilter(">"))
		if err = errors.Join(err, consumers.Err()); err != nil {
			sc.admin.Fatal(err)
		}
		for subject := range info.State.Subjects {
			if name != wire.BucketStream(wire.WorkerBucket) && !matchesAny(mayPublish(sc.outcast.role, sc.outcast.public), subject) {
				all = append(all, "message "+subject)
			}
		}
	}
	if err := streams.Err(); err != nil {
		sc.admin.Fatal(err)
	}
	return all
}

// same fails the test unless the servers have the same data as an earlier
// result of state.
func (sc *scene) same(before []string) {
	sc.outcast.Helper()
	after := sc.state()
	for subject := range sc.secrets() { // the admin publishes these messages, and they may be stored at any time
		before = append(before, "message "+subject)
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			sc.outcast.Errorf("new on the servers, by a %s: %s", sc.outcast.role, line)
		}
	}
	for subject := range sc.secrets() {
		after = append(after, "message "+subject)
	}
	for _, line := range before {
		if !slices.Contains(after, line) {
			sc.outcast.Errorf("gone from the servers, by a %s: %s", sc.outcast.role, line)
		}
	}
}

// check fails the test if the account of the streams has received a message
// that the outcast may not publish and that matches none of the patterns. It
// ignores the first messages: the parameter from is their number. It also
// fails the test if the outcast has received a secret that it may not read.
func (sc *scene) check(from int, patterns ...string) {
	sc.outcast.Helper()
	forbidden := map[string]int{}
	for _, m := range sc.admin.messages()[from:] {
		if isSecret(m.Data) { // the admin has published it
			continue
		}
		if !matchesAny(mayPublish(sc.outcast.role, sc.outcast.public), m.Subject) && !matchesAny(byServers, m.Subject) && !matchesAny(patterns, m.Subject) {
			forbidden[m.Subject]++
		}
	}
	for subject, n := range forbidden {
		sc.outcast.Errorf("a %s has caused %[3]d messages at %[2]s", sc.outcast.role, subject, n)
	}
	read := map[string]bool{}
	for _, m := range sc.outcast.messages() {
		for subject, secret := range sc.secrets() {
			if bytes.Contains(m.Data, []byte(secret)) && !matchesAny(mayRead(sc.outcast.role), subject) {
				read[subject] = true
			}
		}
	}
	for subject := range read {
		sc.outcast.Errorf("a %s has received the secret of the subject %s", sc.outcast.role, subject)
	}
}

// pulls returns requests for messages of consumers. Servers may serve only the
// first of these requests, and only for a worker.
func (sc *scene) pulls() (all []wire.Pull) {
	for _, p := range []wire.Pull{
		{Stream: wire.TaskStream, Consumer: sc.contract, Inbox: "x"},
		{Stream: wire.TaskStream, Consumer: sc.contract, Inbox: "x.>"},
		{Stream: wire.TaskStream, Consumer: "x.>", Inbox: "x"},
		{Stream: wire.ResultStream, Consumer: secretSession, Inbox: "x"},
		{Stream: wire.KeptStream, Consumer: secretSession, Inbox: "x"},
		{Stream: wire.TaskStream + ".x", Consumer: "x", Inbox: "x"},
	} {
		p.Batch = 100
		all = append(all, p)
	}
	return all
}

// bodies returns the contents of requests that make JetStream return messages,
// or create a stream or a consumer.
func (sc *scene) bodies() [][]byte {
	return [][]byte{
		nil,
		[]byte(`{"batch":100,"no_wait":true}`),
		[]byte(`{"seq":1,"batch":1000}`),
		[]byte(`{"seq":1,"batch":1000,"next_by_subj":">"}`),
		[]byte(`{"multi_last":[">"]}`),
		[]byte(`{"last_by_subj":">"}`),
		[]byte("+NXT"),
		[]byte(`{"name":"ROGUE","subjects":["rogue.>"]}`),
		fmt.Appendf(nil, `{"stream_name":"CONCERT_RESULTS","config":{"name":"spy","deliver_subject":"_INBOX_%s.x","ack_policy":"none"}}`, sc.outcast.public),
		fmt.Appendf(nil, `{"stream_name":"CONCERT_TASKS","config":{"durable_name":"spy","ack_policy":"none"}}`),
	}
}

// TestPrivileges: if the holder of a key publishes any message with any
// reply subject, the message must have no effect that the role of the key
// does not permit. The test takes the rights from accounts.go, and the
// permitted effects of these rights from privilege_lists_test.go.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	for _, role := range []Role{Client, Worker} {
		t.Run(string(role), func(t *testing.T) {
			sc := newScene(t, role)
			o := sc.outcast
			subjects := sc.subjects(o.public)
			sc.settle()
			before, from := sc.state(), len(sc.admin.messages())

			// 1. The outcast publishes to every subject, with and without a
			//    reply subject.
			for _, subject := range subjects {
				o.nc.Publish(subject, []byte("rogue"))
				for _, body := range sc.bodies() {
					o.nc.PublishRequest(subject, o.nc.NewInbox(), body)
				}
			}
			for _, p := range sc.pulls() {
				body, err := wire.Marshal(&p)
				if err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{sc.client, sc.worker, o.public} {
					o.nc.PublishRequest(wire.PullSubject(key), o.nc.NewInbox(), body)
				}
			}
			// 2. The outcast publishes to all subjects of its rights, with each
			//    subject of the test as the reply subject. Subjects that exist
			//    only in its own account are left out.
			targets := slices.DeleteFunc(slices.Clone(subjects), func(s string) bool { return strings.HasPrefix(s, wire.ClientAPI) })
			for _, r := range role.rights() {
				if r.kind == subscription {
					continue
				}
				pattern := r.subject
				if r.as != "" {
					pattern = r.as
				}
				pattern = strings.ReplaceAll(pattern, "%s", o.public)
				used := false
				for _, subject := range subjects {
					if !matches(pattern, subject) {
						continue
					}
					used = true
					for _, target := range targets {
						o.nc.PublishRequest(subject, target, nil)
					}
				}
				if !used {
					t.Errorf("no subject of the test matches the right %s", pattern)
				}
			}
			// 3. The outcast listens while others publish.
			sc.publishSecrets(sc.admin.nc)
			sc.settle()
			sc.check(from)
			sc.same(before)
		})
	}
}

// TestPrivileges_StoredRequest: the holder of a key stores a message, and then
// requests the message. The reply subject of this request is the subject of a
// task, or of another request. The answer must not have the effect of a task or
// a request.
func TestPrivileges_StoredRequest(t *testing.T) {
	for _, role := range []Role{Client, Worker} {
		t.Run(string(role), func(t *testing.T) {
			sc := newScene(t, role)
			o := sc.outcast
			sc.settle()
			before, from := sc.state(), len(sc.admin.messages())
			stored := map[string]string{ // the stream to request the message from, by the subject at which the outcast stores it
				wire.BlobSubject(o.public+".x", 0):                              wire.BlobStream,
				wire.BlobSubject(sc.client+"."+o.public+".x", 0):                wire.BlobStream,
				wire.ReleaseSubject(sc.contract, 7, 7):                          wire.ReleaseStream,
				wire.ResultSubject(wire.TaskID{Client: o.public, Number: "7"}):  wire.KeptStream,
				wire.ResultSubject(wire.TaskID{Client: sc.client, Number: "7"}): wire.KeptStream,
			}
			targets := map[string][]byte{
				wire.TaskSubject(sc.contract, sc.client):            []byte("task"),
				wire.TaskSubject(sc.contract, "stranger"):           []byte("task"),
				wire.CancelPrefix + "." + sc.client:                 []byte("session.try"),
				"$JS.API.STREAM.CREATE.ROGUE":                       []byte(`{"name":"ROGUE","subjects":["rogue.>"]}`),
				"$JS.API.STREAM.DELETE.CONCERT_TASKS":               nil,
				"$JS.API.CONSUMER.CREATE.CONCERT_RESULTS.spy":       fmt.Appendf(nil, `{"stream_name":"CONCERT_RESULTS","config":{"name":"spy","deliver_subject":"spy","ack_policy":"none"}}`),
				wire.BucketPrefix(wire.WorkerBucket) + ".victim.id": nil,
				wire.HandshakeSubject(sc.client):                    nil,
			}
			for target, body := range targets {
				for subject, stream := range stored {
					o.nc.Publish(subject, body)
					for _, prefix := range []string{"$JS.API", wire.ClientAPI} {
						o.nc.PublishRequest(prefix+".DIRECT.GET."+stream+"."+subject, target, nil)
						o.nc.PublishRequest(prefix+".DIRECT.GET."+stream, target, fmt.Appendf(nil, `{"last_by_subj":%q}`, subject))
					}
				}
			}
			sc.settle()
			sc.check(from)
			sc.same(before)
		})
	}
}

// TestPrivileges_Handshake: servers must serve a handshake if the role of the
// key permits it, and otherwise return an error.
func TestPrivileges_Handshake(t *testing.T) {
	t.Parallel()
	set := &wire.CapabilitySet{Functions: map[string]string{"g": "signature"}}
	for _, c := range []struct {
		role      Role
		handshake wire.Handshake
		want      string // a part of the error; "" for no error
	}{
		{Client, wire.Handshake{Capabilities: set}, "cannot run tasks"},
		{Client, wire.Handshake{Cancels: true}, "cannot run tasks"},
		{Client, wire.Handshake{Session: secretSession, Stream: wire.ResultStream}, "consumer already exists"},
		{Client, wire.Handshake{Session: "x", Stream: wire.TaskStream}, "there are no results in"},
		{Client, wire.Handshake{Session: "x", Stream: wire.CancelStream}, "there are no results in"},
		{Client, wire.Handshake{Session: "x.>", Stream: wire.ResultStream}, "invalid name of a session"},
		{Client, wire.Handshake{Session: "x", Stream: wire.ResultStream}, ""},
		{Client, wire.Handshake{Audit: &wire.Audit{Session: "x.>"}}, "invalid name of a session"},
		{Client, wire.Handshake{Audit: &wire.Audit{Session: "x", Tasks: []wire.Audited{{Try: ">"}}}}, "invalid name of a submission"},
		{Client, wire.Handshake{Audit: &wire.Audit{Session: "x", Tasks: make([]wire.Audited, wire.MaxAudited+1)}}, "at most 256 are allowed"},
		{Client, wire.Handshake{Audit: &wire.Audit{Session: "x", Tasks: []wire.Audited{{Try: "1", Sequence: 1}}}}, ""},
		{Worker, wire.Handshake{Audit: &wire.Audit{Session: "x"}}, "has no tasks to audit"},
		{Worker, wire.Handshake{Session: "x", Stream: wire.ResultStream}, "cannot submit tasks"},
		{Worker, wire.Handshake{Session: secretSession, Stream: wire.KeptStream}, "cannot submit tasks"},
		{Worker, wire.Handshake{Capabilities: set}, ""},
		{Worker, wire.Handshake{Cancels: true}, ""},
	} {
		t.Run(fmt.Sprintf("%s/%+v", c.role, c.handshake), func(t *testing.T) {
			sc := newScene(t, c.role)
			w := sc.outcast.handshakes(c.handshake)
			if c.want == "" && w.Error != "" || !strings.Contains(w.Error, c.want) || w.Role != string(c.role) {
				t.Errorf("%+v, want the error %q", w, c.want)
			}
			if c.handshake.Capabilities != nil && c.want == "" && w.Consumer != set.Name() {
				t.Errorf("the consumer is %s, want %s", w.Consumer, set.Name())
			}
		})
	}
}

// TestPrivileges_Audit: whatever the audit of a client asks for, the answer
// must contain only states of the client's own tasks and results.
func TestPrivileges_Audit(t *testing.T) {
	sc := newScene(t, Client)
	store := func(key string) (sequence uint64) {
		t.Helper()
		msg := &client.Msg{Subject: wire.TaskSubject(sc.contract, key), Header: client.Header{jetstream.MsgIDHeader: {"id of " + key}}}
		ack, err := sc.admin.js.PublishMsg(t.Context(), msg)
		if err != nil {
			t.Fatal(err)
		}
		return ack.Sequence
	}
	ask := func(sequence uint64, key, try string) wire.State {
		t.Helper()
		w := sc.outcast.handshakes(wire.Handshake{Audit: &wire.Audit{
			Session: secretSession, Tasks: []wire.Audited{{Try: try, Sequence: sequence, ID: "id of " + key}},
		}})
		if w.Error != "" || len(w.States) != 1 {
			t.Fatalf("the answer is %+v", w)
		}
		return w.States[0]
	}
	sc.settle() // after that, the servers have the result "1" for the session of the client
	theirs, own := store(sc.client), store(sc.outcast.public)
	before, from := sc.state(), len(sc.admin.messages())
	for _, c := range []struct {
		what     string
		sequence uint64
		id, try  string
		want     wire.State
	}{
		{"its own task", own, sc.outcast.public, "x", wire.Queued},
		{"its own task with another id", own, sc.client, "x", wire.Absent},
		{"another client's task", theirs, sc.client, "x", wire.Absent},
		{"another client's task by its own id", theirs, sc.outcast.public, "x", wire.Absent},
		{"another client's result", 0, sc.client, "1", wire.Absent},
		{"a task that does not exist", own + 1, sc.outcast.public, "x", wire.Absent},
	} {
		t.Run(c.what, func(t *testing.T) {
			if got := ask(c.sequence, c.id, c.try); got != c.want {
				t.Errorf("%s: the state is %d, want %d", c.what, got, c.want)
			}
		})
	}
	sc.settle()
	sc.check(from, "$JS.API.STREAM.MSG.GET."+wire.TaskStream) // servers send this request
	sc.same(before)
	result := wire.ResultSubject(wire.TaskID{Client: sc.outcast.public, Session: secretSession, Number: "1"})
	if _, err := sc.admin.js.Publish(t.Context(), result, nil); err != nil {
		t.Fatal(err)
	}
	if got := ask(0, "", "1"); got != wire.Answered {
		t.Errorf("its own result: the state is %d, want %d", got, wire.Answered)
	}
}

// TestPrivileges_Resend: if a worker asks a server to send a kept result again,
// the server must send it only to a session of the client to which the result
// belongs.
func TestPrivileges_Resend(t *testing.T) {
	sc := newScene(t, Worker)
	sc.settle()
	before, from := sc.state(), len(sc.admin.messages())
	ask := func(r wire.ResendRequest) wire.ResendReply {
		t.Helper()
		body, err := wire.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := sc.outcast.nc.Request(wire.ResendSubject(sc.outcast.public), body, patience)
		if err != nil {
			t.Fatal(err)
		}
		var said wire.ResendReply
		if err := wire.Unmarshal(answer.Data, &said); err != nil {
			t.Fatal(err)
		}
		return said
	}
	for _, r := range []wire.ResendRequest{
		{Client: sc.client, Number: ">", Session: "x"}, {Client: "*", Number: "1", Session: "x"}, {Client: sc.client, Number: "1", Session: "x.y"},
		{Client: sc.client, Number: "1", Session: ""}, {Client: sc.client, Number: "none", Session: "x"},
	} {
		if said := ask(r); said.Found {
			t.Errorf("%+v: %+v", r, said)
		}
	}
	if said := ask(wire.ResendRequest{Client: sc.client, Number: "1", Session: "mine"}); !said.Found {
		t.Errorf("the kept result is not sent: %+v", said)
	}
	sc.settle()
	sc.check(from, "$JS.API.DIRECT.GET.CONCERT_KEPT.concert.kept.*.*") // servers send this request
	sc.same(before)
	result := wire.ResultSubject(wire.TaskID{Client: sc.client, Session: "mine", Number: "1"})
	sent := slices.ContainsFunc(sc.admin.messages()[from:], func(m *client.Msg) bool { return m.Subject == result && isSecret(m.Data) })
	if !sent {
		t.Errorf("no result was published at %s", result)
	}
}

// TestService_Heartbeats: a worker must not be able to change or remove the
// heartbeat of a worker with another key. The headers of a heartbeat must not
// be stored.
func TestService_Heartbeats(t *testing.T) {
	sc := newScene(t, Worker)
	sc.settle()
	from := len(sc.admin.messages())
	advert := &client.Msg{Subject: wire.HeartbeatSubject(sc.outcast.public + ".id"), Data: []byte("advert"), Header: client.Header{
		"Nats-Rollup": {"all"}, "KV-Operation": {"PURGE"}, "Nats-Subject": {wire.BucketPrefix(wire.WorkerBucket) + "." + sc.worker + ".id"}, "Status": {"404"},
	}}
	if _, err := sc.outcast.nc.RequestMsg(advert, patience); err != nil {
		t.Fatal(err)
	}
	sc.settle()
	sc.check(from)
	stream, err := sc.admin.js.Stream(t.Context(), wire.BucketStream(wire.WorkerBucket))
	if err != nil {
		t.Fatal(err)
	}
	mine := wire.BucketPrefix(wire.WorkerBucket) + "." + sc.outcast.public + ".id"
	m, err := stream.GetLastMsgForSubject(t.Context(), mine)
	if err != nil || string(m.Data) != "advert" {
		t.Fatalf("%v, %v", m, err)
	}
	for name := range advert.Header {
		if name != "Nats-Subject" && m.Header.Get(name) != "" || m.Subject != mine {
			t.Errorf("%s: %q", m.Subject, m.Header)
		}
	}
	if _, err := sc.outcast.nc.Request(advert.Subject, nil, patience); err != nil {
		t.Fatal(err)
	}
	if m, err := stream.GetLastMsgForSubject(t.Context(), mine); err != nil || m.Header.Get("KV-Operation") != "DEL" {
		t.Errorf("after the worker was removed: %v, %v", m, err)
	}
	if _, err := sc.outcast.nc.Request(advert.Subject, make([]byte, maxHeartbeatBytes+1), 200*time.Millisecond); err == nil {
		t.Error("a heartbeat that is too large is stored")
	}
}

// TestPrivileges_Subscribers: if a cancellation, a hint or a heartbeat is
// published, subscribers with another key must receive it.
func TestPrivileges_Subscribers(t *testing.T) {
	for _, c := range []struct {
		from, to                Role
		publishedTo, receivedOn func(client, worker string) string
	}{
		{
			from: Client, to: Worker,
			publishedTo: func(client, _ string) string { return wire.CancelPrefix + "." + client },
			receivedOn:  func(client, _ string) string { return wire.CanceledPrefix + "." + client },
		},
		{
			from: Worker, to: Client,
			publishedTo: func(client, worker string) string { return wire.HintRelaySubject(client, "session", worker) },
			receivedOn:  func(client, worker string) string { return wire.HintSubject(client, "session", worker) },
		},
		{
			from: Worker, to: Client,
			publishedTo: func(_, worker string) string { return wire.HeartbeatSubject(worker + ".id") },
			receivedOn:  func(_, worker string) string { return wire.BucketPrefix(wire.WorkerBucket) + "." + worker + ".id" },
		},
	} {
		t.Run(c.publishedTo("CLIENT", "WORKER"), func(t *testing.T) {
			k, err := NewKeyring(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			from, to := holder(t, k, c.from, "from"), holder(t, k, c.to, "to")
			s, err := New(&Options{Listen: "127.0.0.1:0", Keyring: k})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			if err := s.Setup(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			from.connect(s)
			to.connect(s)
			client, worker := from.public, to.public
			if c.from == Worker {
				client, worker = worker, client
			}
			sub, err := to.nc.SubscribeSync(c.receivedOn(client, worker))
			if err != nil || to.nc.Flush() != nil {
				t.Fatal(err)
			}
			if err := from.nc.Publish(c.publishedTo(client, worker), []byte("said.so")); err != nil {
				t.Fatal(err)
			}
			if m, err := sub.NextMsg(patience); err != nil || string(m.Data) != "said.so" {
				t.Errorf("a message of a %s at %s: the subscriber has %v, %v", c.from, c.publishedTo("CLIENT", "WORKER"), m, err)
			}
		})
	}
}
