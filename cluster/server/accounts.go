package server

import (
	"fmt"
	"slices"
	"strings"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"

	"concert/cluster/internal/wire"
)

// The rights of keys are accounts of the NATS server, which see nothing of each
// other but what one exports and the other one imports:
//
//	CONCERT     the streams; the server itself, and admins
//	(a key)     one for each client and each worker: what it imports of CONCERT is what it may do there
//
// Permissions alone would not hold a client or a worker. A request says itself
// where its answer is to go, and the servers send answers anywhere: to the
// subject by which streams are deleted, too. So whoever may ask a stream for
// anything, or only publish to it, could have it delete another, or have a part
// that it has stored sent to where tasks go. An answer to what comes through an
// import goes back to the account that has asked, and nowhere else. The body of
// a request that makes a consumer names the subject that it delivers to. So
// clients and workers do not make consumers: see the door.
//
// NATS does not deliver a message that came by a service import of CONCERT to
// stream imports of its subject. So what one account says to another is
// published once more within CONCERT: cancellations by their stream, hints and
// adverts by the servers.
//
// NATS also ends the answers to such a request with the first empty message
// without headers, which any client can store. So workers do not request
// messages of consumers by a service import. A server requests them, and a
// stream import delivers them: see pulled.
//
// The servers write both buckets themselves, see advertised and
// taskConsumer. So a worker cannot write there in the name of another one,
// and readers can trust the headers of what is stored there.
const commonAccount = "CONCERT"

// right is something that the holder of a key may do.
type right struct {
	subject string // where %s is its key
	export  string // as it is exported: for all keys
	kind    string // of NATS: what may come back
	as      string // as the holder has it; "" for the same subject
}

const (
	oneAnswer    = "singleton" // one answer
	manyAnswers  = "stream"    // several
	subscription = ""          // no answer: it is heard
)

// clientRights is what a client may do: publish its own tasks, and withdraw
// them, read what is addressed to it, and know which workers there are. A
// consumer of results can be used by whoever knows its name, which is a
// session's: random, and said to nobody but the servers and workers.
var clientRights = []right{
	perKey(wire.HandshakeSubject("%s"), wire.HandshakeSubject("*"), oneAnswer),
	perKey("concert.task.*.%s", "concert.task.*.*", oneAnswer),
	perKey("concert.load.%s.*.*", "concert.load.*.*.*", oneAnswer),
	perKey("concert.output.%s.*.*.*", "concert.output.*.*.*.*", oneAnswer),                                  // it removes results that it has
	{wire.CancelRequestSubject("%s"), wire.CancelRequestSubject("*"), oneAnswer, wire.CancelPrefix + ".%s"}, // a server stores it, see withdrawn
	perKey(wire.HintSubject("%s", "*", "*"), wire.HintSubject("*", "*", "*"), subscription),
	shared(wire.BucketPrefix(wire.WorkerBucket)+".>", subscription),
	shared(wire.BucketPrefix(wire.CapabilityBucket)+".>", subscription),
	shared("$JS.ACK."+wire.ResultStream+".>", oneAnswer),
	shared("$JS.ACK."+wire.KeptStream+".>", oneAnswer),
	api("DIRECT.GET."+wire.KeptStream+".concert.kept.%s.*", "DIRECT.GET."+wire.KeptStream+".concert.kept.*.*", oneAnswer),
	api("DIRECT.GET."+wire.BlobStream+".concert.load.%s.*.*", "DIRECT.GET."+wire.BlobStream+".concert.load.*.*.*", oneAnswer),
	api("DIRECT.GET."+wire.BlobStream+".concert.output.%s.*.*.*", "DIRECT.GET."+wire.BlobStream+".concert.output.*.*.*.*", oneAnswer),
	sharedAPI("DIRECT.GET."+wire.BucketStream(wire.WorkerBucket), manyAnswers),
	sharedAPI("DIRECT.GET."+wire.BucketStream(wire.CapabilityBucket), manyAnswers),
	sharedAPI("CONSUMER.INFO."+wire.ResultStream+".*", oneAnswer),
	sharedAPI("CONSUMER.INFO."+wire.KeptStream+".*", oneAnswer),
	sharedAPI("CONSUMER.DELETE."+wire.ResultStream+".*", oneAnswer),
	sharedAPI("CONSUMER.DELETE."+wire.KeptStream+".*", oneAnswer),
	sharedAPI("CONSUMER.MSG.NEXT."+wire.ResultStream+".*", manyAnswers),
	sharedAPI("CONSUMER.MSG.NEXT."+wire.KeptStream+".*", manyAnswers),
}

// workerRights is what a worker may do: take tasks of any client and contract,
// with their large arguments, read cancellations, and publish results for any
// client. It cannot submit tasks, and it cannot read results.
//
// A subject has the worker's key in it if readers find it by a wildcard. These
// do not:
//
//   - A task has one result, whichever worker runs it: the stream has room for
//     one message with its subject, and refuses the second one.
//   - The count of how often a task was given back is stored by one worker, and
//     another worker asks for it by its subject.
//   - Acknowledgements and requests for tasks are for the consumer of a
//     contract, which all of its workers share.
//   - The consumers of cancellations have random names, which only the worker
//     learns that has asked for one.
var workerRights = []right{
	perKey(wire.HandshakeSubject("%s"), wire.HandshakeSubject("*"), oneAnswer),
	perKey(wire.HeartbeatSubject("%s.*"), wire.HeartbeatSubject("*.*"), oneAnswer),
	perKey(wire.ResendSubject("%s"), wire.ResendSubject("*"), oneAnswer),
	perKey(wire.PullSubject("%s"), wire.PullSubject("*"), oneAnswer),
	perKey(wire.DeliverSubject("%s", "*"), wire.DeliverSubject("*", "*"), subscription),
	perKey("concert.output.*.%s.*.*", "concert.output.*.*.*.*", oneAnswer),
	perKey("concert.dead.*.*.%s", "concert.dead.*.*.*", oneAnswer),
	perKey(wire.HintRelaySubject("*", "*", "%s"), wire.HintRelaySubject("*", "*", "*"), oneAnswer),
	shared("concert.result.*.*.*", oneAnswer),
	shared("concert.kept.*.*", oneAnswer),
	shared("concert.yield.*.*.*", oneAnswer),
	shared(wire.CanceledPrefix+".*", subscription),
	shared("$JS.ACK."+wire.TaskStream+".>", oneAnswer),
	sharedAPI("DIRECT.GET."+wire.BlobStream+".concert.load.*.*.*", oneAnswer),
	sharedAPI("DIRECT.GET."+wire.ReleaseStream+".concert.yield.*.*.*", oneAnswer),
	sharedAPI("CONSUMER.INFO."+wire.TaskStream+".*", oneAnswer),
	sharedAPI("CONSUMER.DELETE."+wire.CancelStream+".*", oneAnswer),
}

// rights returns the rights of a key with the role; nil for an admin, who may
// do everything.
func (r Role) rights() []right {
	switch r {
	case Client:
		return clientRights
	case Worker:
		return workerRights
	default:
		return nil
	}
}

// perKey is a right of which each key has its own part.
func perKey(subject, export, kind string) right {
	return right{subject: subject, export: export, kind: kind}
}

// shared is a right for which it does not matter whose it is.
func shared(subject, kind string) right { return perKey(subject, subject, kind) }

// api is a request to JetStream.
func api(request, export, kind string) right {
	return right{"$JS.API." + request, "$JS.API." + export, kind, wire.ClientAPI + "." + request}
}

// sharedAPI is one for which it does not matter whose it is.
func sharedAPI(request, kind string) right { return api(request, request, kind) }

// exportText returns the right as CONCERT exports it, in the configuration of
// the server.
func (r right) exportText() string {
	if r.kind == subscription {
		return fmt.Sprintf("{stream: %q}\n", r.export)
	}
	return fmt.Sprintf("{service: %q, response_type: %s, response_threshold: %q}\n", r.export, r.kind, responseTimeout)
}

// importText returns the right as the account of a key imports it.
func (r right) importText(key string) string {
	kind, as := "service", ""
	if r.kind == subscription {
		kind = "stream"
	}
	if r.as != "" {
		as = fmt.Sprintf(", to: %q", strings.ReplaceAll(r.as, "%s", key))
	}
	return fmt.Sprintf("{%s: {account: %s, subject: %q}%s}\n", kind, commonAccount, strings.ReplaceAll(r.subject, "%s", key), as)
}

// limits returns the limits of a key with role r, as text of the configuration
// of NATS.
func (s *Server) limits(r Role) string {
	connections := s.options.Connections
	if r == Worker {
		connections = maxCancelReaders
	}
	return fmt.Sprintf("limits: {max_connections: %d, max_subscriptions: %d}\n", connections, maxSubscriptions)
}

const (
	defaultConnections = 128     // of a client's key: see Options.Connections
	maxSubscriptions   = 256     // of a connection; one needs about a dozen, and one for each request for tasks
	maxLineBytes       = 1 << 10 // bytes of a line of the protocol, which has the subjects of a message

	// Size of the messages that wait until a stream handles them. More are
	// refused, and clients and workers repeat them.
	maxQueueBytes = 16 << 20

	// The time for which a server remembers where the answer to a request goes.
	// Holders of keys wait for shorter times.
	responseTimeout = 15 * time.Second
)

// configure adds the accounts of the holders to the options: see "Accounts" in
// the NATS documentation.
func (s *Server) configure(o *nats.Options, own string, holders []Holder) error {
	var text strings.Builder
	fmt.Fprintf(&text, "accounts {\n%s {\njetstream: enabled\nusers: [\n{nkey: %s}\n", commonAccount, own)
	for _, h := range holders {
		if h.Role == Admin {
			fmt.Fprintf(&text, "{nkey: %s}\n", h.Key)
		}
	}
	text.WriteString("]\nexports: [\n")
	var exported []string
	for _, r := range slices.Concat(clientRights, workerRights) {
		if e := r.exportText(); !slices.Contains(exported, e) {
			exported = append(exported, e)
			text.WriteString(e)
		}
	}
	text.WriteString("]\n}\n")
	for _, h := range holders {
		if h.Role == Admin {
			continue
		}
		fmt.Fprintf(&text, "%s {\nusers: [{nkey: %s}]\n%simports: [\n", h.Key, h.Key, s.limits(h.Role))
		for _, r := range h.Role.rights() {
			text.WriteString(r.importText(h.Key))
		}
		text.WriteString("]\n}\n")
	}
	text.WriteString("}\n")
	return o.ProcessConfigString(text.String())
}
