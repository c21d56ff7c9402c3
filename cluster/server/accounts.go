package server

import (
	"fmt"
	"strings"

	nats "github.com/nats-io/nats-server/v2/server"

	"concert/cluster/internal/wire"
)

// Who may do what is said to the NATS server as accounts, which see nothing of each other but what one exports and the other one imports:
//
//	CONCERT     the streams; the server itself, admins, and workers, who may publish and subscribe to some subjects only
//	(a key)     one for each client: what it imports of CONCERT is what it may do there
//
// Permissions alone would not hold a client. A request says itself where its answer is to go, and the servers send answers
// anywhere: to the subject by which streams are deleted, too. So whoever may ask a stream for anything, or only publish to it, could have it
// delete another. An answer to what comes through an import goes back to the account that has asked, and nowhere else. What a client could say in the
// body of a request that makes a consumer, where what that delivers is to go, it does not say: see the door.
const commonAccount = "CONCERT"

// right is something that a client may do.
type right struct {
	subject string // where %s is its key
	export  string // as it is exported: for all clients
	kind    string // of NATS: what may come back
	as      string // as the client has it; "" for the same subject
}

const (
	oneAnswer   = "singleton" // one answer
	manyAnswers = "stream"    // several
	hear        = ""          // no answer: it is heard
)

// clientRights is what a client may do: publish its own tasks, and withdraw them, read what is addressed to it, and know which workers
// there are. A consumer of results can be used by whoever knows its name, which is a session's: random, and said to nobody but the servers and
// workers.
var clientRights = []right{
	own(wire.DoorSubject("%s"), wire.DoorSubject("*"), oneAnswer),
	own("concert.task.*.%s", "concert.task.*.*", oneAnswer),
	own("concert.load.%s.>", "concert.load.>", oneAnswer),
	own(wire.CancelPrefix+".%s", wire.CancelPrefix+".*", oneAnswer),
	own("concert.hint.%s.>", "concert.hint.>", hear),
	same(wire.BucketPrefix(wire.WorkerBucket)+".>", hear),
	same(wire.BucketPrefix(wire.ContractBucket)+".>", hear),
	same("$JS.ACK."+wire.ResultStream+".>", oneAnswer),
	same("$JS.ACK."+wire.KeptStream+".>", oneAnswer),
	api("DIRECT.GET."+wire.KeptStream+".concert.kept.%s.*", "DIRECT.GET."+wire.KeptStream+".concert.kept.*.*", oneAnswer),
	api("DIRECT.GET."+wire.LoadStream+".concert.load.%s.>", "DIRECT.GET."+wire.LoadStream+".concert.load.>", oneAnswer),
	sameAPI("DIRECT.GET."+wire.BucketStream(wire.WorkerBucket), manyAnswers),
	sameAPI("DIRECT.GET."+wire.BucketStream(wire.ContractBucket), manyAnswers),
	sameAPI("CONSUMER.INFO."+wire.ResultStream+".*", oneAnswer),
	sameAPI("CONSUMER.INFO."+wire.KeptStream+".*", oneAnswer),
	sameAPI("CONSUMER.DELETE."+wire.ResultStream+".*", oneAnswer),
	sameAPI("CONSUMER.DELETE."+wire.KeptStream+".*", oneAnswer),
	sameAPI("CONSUMER.MSG.NEXT."+wire.ResultStream+".*", manyAnswers),
	sameAPI("CONSUMER.MSG.NEXT."+wire.KeptStream+".*", manyAnswers),
}

// own is a right of which each client has its own part.
func own(subject, export, kind string) right {
	return right{subject: subject, export: export, kind: kind}
}

// same is a right for which it does not matter whose it is.
func same(subject, kind string) right { return own(subject, subject, kind) }

// api is a request to JetStream.
func api(request, export, kind string) right {
	return right{"$JS.API." + request, "$JS.API." + export, kind, wire.ClientAPI + "." + request}
}

// sameAPI is one for which it does not matter whose it is.
func sameAPI(request, kind string) right { return api(request, request, kind) }

// workerPublishes and workerSubscribes is what a worker may do: take tasks of any client and contract, and publish results for any client. It cannot
// submit tasks: others take none that are not signed by a client, and it has the key of none.
var workerPublishes = []string{
	wire.DoorSubject("%s"),
	"concert.result.>", "concert.kept.>", "concert.dead.>", "concert.load.>", "concert.hint.>", "concert.yield.>",
	wire.BucketPrefix(wire.WorkerBucket) + ".>",
	wire.BucketPrefix(wire.ContractBucket) + ".>",
	"$JS.API.STREAM.INFO." + wire.BucketStream(wire.WorkerBucket),
	"$JS.API.STREAM.INFO." + wire.BucketStream(wire.ContractBucket),
	"$JS.API.DIRECT.GET." + wire.KeptStream + ".>",
	"$JS.API.DIRECT.GET." + wire.LoadStream + ".>",
	"$JS.API.DIRECT.GET." + wire.YieldStream + ".>",
	"$JS.API.CONSUMER.CREATE." + wire.CancelStream + ".*",
	"$JS.API.CONSUMER.MSG.NEXT." + wire.CancelStream + ".*",
	"$JS.API.CONSUMER.DELETE." + wire.CancelStream + ".*",
	"$JS.API.CONSUMER.DURABLE.CREATE." + wire.TaskStream + ".*",
	"$JS.API.CONSUMER.CREATE." + wire.TaskStream + ".>",
	"$JS.API.CONSUMER.INFO." + wire.TaskStream + ".*",
	"$JS.API.CONSUMER.MSG.NEXT." + wire.TaskStream + ".*",
	"$JS.ACK." + wire.TaskStream + ".>",
}

var workerSubscribes = []string{"_INBOX_%s.>", wire.CancelPrefix + ".>"}

// configure has the options say so: see "Accounts" in the NATS documentation.
func configure(o *nats.Options, own string, holders []Holder) error {
	var text strings.Builder
	fmt.Fprintf(&text, "accounts {\n%s {\njetstream: enabled\nusers: [\n{nkey: %s}\n", commonAccount, own)
	for _, h := range holders {
		switch h.Role {
		case Admin:
			fmt.Fprintf(&text, "{nkey: %s}\n", h.Key)
		case Worker:
			fmt.Fprintf(&text, "{nkey: %s, permissions: {publish: [%s], subscribe: [%s]}}\n", h.Key, subjects(workerPublishes, h.Key), subjects(workerSubscribes, h.Key))
		}
	}
	text.WriteString("]\nexports: [\n")
	for _, r := range clientRights {
		if r.kind == hear {
			fmt.Fprintf(&text, "{stream: %q}\n", r.export)
		} else {
			fmt.Fprintf(&text, "{service: %q, response_type: %s}\n", r.export, r.kind)
		}
	}
	text.WriteString("]\n}\n")
	for _, h := range holders {
		if h.Role != Client {
			continue
		}
		fmt.Fprintf(&text, "%s {\nusers: [{nkey: %s}]\nimports: [\n", h.Key, h.Key)
		for _, r := range clientRights {
			kind, as := "service", ""
			if r.kind == hear {
				kind = "stream"
			}
			if r.as != "" {
				as = fmt.Sprintf(", to: %q", strings.ReplaceAll(r.as, "%s", h.Key))
			}
			fmt.Fprintf(&text, "{%s: {account: %s, subject: %q}%s}\n", kind, commonAccount, strings.ReplaceAll(r.subject, "%s", h.Key), as)
		}
		text.WriteString("]\n}\n")
	}
	text.WriteString("}\n")
	return o.ProcessConfigString(text.String())
}

// subjects are those of a key, as a list.
func subjects(all []string, key string) string {
	quoted := make([]string, len(all))
	for i, s := range all {
		quoted[i] = fmt.Sprintf("%q", strings.ReplaceAll(s, "%s", key))
	}
	return strings.Join(quoted, ", ")
}
