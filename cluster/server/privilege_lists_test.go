package server

import (
	"bytes"
	"strings"

	"concert/cluster/internal/wire"
)

// This file lists what the tests of privileges expect. The lists do not depend
// on the tables of accounts.go. So if a table gets a right that is too wide, a
// test fails.

// mayPublish returns patterns of all subjects, in the account of the streams,
// at which messages from the holder of a key may arrive.
func mayPublish(role Role, key string) []string {
	if role == Client {
		return []string{
			"concert.door." + key, "concert.task.*." + key, "concert.load." + key + ".*.*", "concert.output." + key + ".*.*.*", "concert.cancel." + key, "concert.canceled." + key, "concert.withdraw." + key,
			"$JS.ACK.CONCERT_RESULTS.>", "$JS.ACK.CONCERT_KEPT.>",
			"$JS.API.DIRECT.GET.CONCERT_KEPT.concert.kept." + key + ".*",
			"$JS.API.DIRECT.GET.CONCERT_LOAD.concert.load." + key + ".*.*", "$JS.API.DIRECT.GET.CONCERT_LOAD.concert.output." + key + ".*.*.*",
			"$JS.API.DIRECT.GET.KV_CONCERT_WORKERS", "$JS.API.DIRECT.GET.KV_CONCERT_CONTRACTS",
			"$JS.API.CONSUMER.INFO.CONCERT_RESULTS.*", "$JS.API.CONSUMER.DELETE.CONCERT_RESULTS.*", "$JS.API.CONSUMER.MSG.NEXT.CONCERT_RESULTS.*",
			"$JS.API.CONSUMER.INFO.CONCERT_KEPT.*", "$JS.API.CONSUMER.DELETE.CONCERT_KEPT.*", "$JS.API.CONSUMER.MSG.NEXT.CONCERT_KEPT.*",
		}
	}
	return []string{
		"concert.door." + key, "concert.advert." + key + ".*", "concert.resend." + key, "concert.pull." + key, "concert.deliver." + key + ".*",
		"concert.output.*." + key + ".*.*", "concert.dead.*.*." + key, "concert.report.*.*." + key, "concert.hint.*.*." + key,
		"concert.result.*.*.*", "concert.kept.*.*", "concert.yield.*.*.*", "$JS.ACK.CONCERT_TASKS.>",
		"$JS.API.DIRECT.GET.CONCERT_LOAD.concert.load.*.*.*", "$JS.API.DIRECT.GET.CONCERT_YIELDS.concert.yield.*.*.*",
		"$JS.API.CONSUMER.INFO.CONCERT_TASKS.*", "$JS.API.CONSUMER.MSG.NEXT.CONCERT_TASKS.*",
		"$JS.API.CONSUMER.MSG.NEXT.CONCERT_CANCEL.*", "$JS.API.CONSUMER.DELETE.CONCERT_CANCEL.*",
		"$KV.CONCERT_WORKERS." + key + ".*", // servers publish the worker's heartbeats there
	}
}

// mayRead returns patterns of the subjects whose messages a role may read,
// including messages of other clients and workers.
func mayRead(role Role) []string {
	if role == Client {
		return []string{"$KV.CONCERT_WORKERS.>", "$KV.CONCERT_CONTRACTS.>"}
	}
	return []string{"concert.task.*.*", "concert.load.*.*.*", "concert.cancel.*", "concert.canceled.*", "concert.yield.*.*.*"}
}

// byServers are patterns of the subjects to which servers publish, and of the
// subjects of answers to the test's requests.
var byServers = []string{
	"_R_.>", "_INBOX.*", "_INBOX.*.*", "$JS.EVENT.>",
	"$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.NAMES.*", // see scene.state
	// See probes.
	"concert.task.probe.probe", "concert.load.probe.probe.0", "concert.result.probe.probe.probe", "concert.kept.probe.probe",
	"$JS.API.CONSUMER.INFO.CONCERT_RESULTS.probe", "$JS.API.CONSUMER.DELETE.CONCERT_RESULTS.probe",
}

// victims are a client and a worker whose secrets the outcast attempts to read.
type victims struct {
	client, worker string // their keys
	contract       string
}

// secretSession is a session of the client. Only the client knows the name.
const secretSession = "vvzzqq"

const secretPrefix = "SECRET of "

func isSecret(body []byte) bool { return bytes.Contains(body, []byte(secretPrefix)) }

// secrets returns messages that the victims send or receive: one for each kind
// of subject.
func (v victims) secrets() map[string]string {
	all := map[string]string{}
	for _, subject := range []string{
		"concert.task." + v.contract + "." + v.client, "concert.result." + v.client + "." + secretSession + ".1", "concert.kept." + v.client + ".1",
		"concert.load." + v.client + ".name.0", "concert.output." + v.client + "." + v.worker + ".name.0",
		"concert.dead." + v.contract + "." + v.client + "." + v.worker, "concert.yield." + v.contract + ".1.1", "concert.cancel." + v.client,
		"concert.hint." + v.client + "." + secretSession + "." + v.worker, "_INBOX_" + v.client + ".x", "rogue.x",
		"$KV.CONCERT_WORKERS." + v.worker + ".id", "$KV.CONCERT_CONTRACTS." + v.contract,
	} {
		all[subject] = secretPrefix + subject
	}
	return all
}

// streamNames are the names of all streams, and the name of a stream that does
// not exist.
var streamNames = []string{
	wire.TaskStream, wire.ResultStream, wire.KeptStream, wire.DeadStream, wire.CancelStream, wire.BlobStream, wire.ReleaseStream,
	wire.BucketStream(wire.WorkerBucket), wire.BucketStream(wire.CapabilityBucket), "ROGUE",
}

// subjects returns all subjects of the victims and of the outcast that have a
// meaning in the account of the streams.
func (v victims) subjects(outcast string) []string {
	all := []string{"$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.USER.INFO", "_INBOX.x.y.z", "_R_.x", "$JS.EVENT.ADVISORY.API"}
	for subject := range v.secrets() {
		all = append(all, subject)
	}
	for _, key := range []string{v.client, v.worker, outcast, "x"} {
		all = append(all,
			"concert.door."+key, "concert.resend."+key, "concert.pull."+key, "concert.deliver."+key+".x", "concert.advert."+key+".id", "concert.cancel."+key, "concert.canceled."+key, "concert.withdraw."+key, "concert.kept."+key+".1", "concert.kept."+key+".2",
			"concert.task."+v.contract+"."+key, "concert.task.x."+key, "concert.load."+key+".x.0", "concert.result."+key+".session.1", "concert.yield.x.1.1",
			"$KV.CONCERT_WORKERS."+key+".id", "$KV.CONCERT_WORKERS."+key, "$KV.CONCERT_CONTRACTS."+key, "_INBOX_"+key+".x",
		)
		for _, other := range []string{v.client, v.worker, outcast} {
			all = append(all, "concert.hint."+key+".session."+other, "concert.report."+key+".session."+other, "concert.dead."+v.contract+"."+key+"."+other, "concert.output."+key+"."+other+".x.0")
		}
	}
	for _, stream := range streamNames {
		all = append(all, "$JS.ACK."+stream+".x.1.1.1.1.1", "$JS.FC."+stream+".x.1")
	}
	for _, prefix := range []string{"$JS.API.", wire.ClientAPI + "."} {
		for _, request := range append(v.requests(outcast), "INFO", "STREAM.NAMES", "STREAM.LIST", "ACCOUNT.PURGE.CONCERT", "META.LEADER.STEPDOWN", "SERVER.REMOVE") {
			all = append(all, prefix+request)
		}
	}
	return all
}

// requests returns the requests to JetStream about streams, after their prefix.
func (v victims) requests(outcast string) (all []string) {
	for _, stream := range streamNames {
		for _, what := range []string{
			"CREATE", "UPDATE", "INFO", "DELETE", "PURGE", "SNAPSHOT", "RESTORE", "MSG.GET", "MSG.DELETE", "PEER.REMOVE", "LEADER.STEPDOWN",
		} {
			all = append(all, "STREAM."+what+"."+stream)
		}
		for _, what := range []string{"CREATE", "NAMES", "LIST"} {
			all = append(all, "CONSUMER."+what+"."+stream)
		}
		for _, what := range []string{
			"CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN",
		} {
			for _, consumer := range []string{"x", v.contract} {
				if (what == "MSG.NEXT" || what == "INFO" || what == "DELETE") && stream != wire.TaskStream && consumer != "x" {
					continue
				}
				all = append(all, "CONSUMER."+what+"."+stream+"."+consumer)
			}
		}
		all = append(all, "CONSUMER.CREATE."+stream+".x.concert.result."+v.client+".>", "DIRECT.GET."+stream)
	}
	for subject := range v.secrets() {
		for _, stream := range []string{wire.TaskStream, wire.ResultStream, wire.KeptStream, wire.BlobStream, wire.ReleaseStream, wire.DeadStream, wire.CancelStream} {
			all = append(all, "DIRECT.GET."+stream+"."+subject)
		}
	}
	for _, stream := range []string{wire.KeptStream, wire.BlobStream, wire.ReleaseStream, wire.CancelStream} {
		all = append(all, "DIRECT.GET."+stream+".>", "DIRECT.GET."+stream+".concert.>", "DIRECT.GET."+stream+".concert.*.*.>")
		for _, kind := range []string{"kept.*.*", "kept.>", "load.*.*.*", "load.>", "output.*.*.*.*", "output.>", "yield.*.*.*", "cancel.*"} {
			all = append(all, "DIRECT.GET."+stream+".concert."+kind)
		}
	}
	return append(all,
		"DIRECT.GET.CONCERT_KEPT.concert.kept."+outcast+".1", "DIRECT.GET.CONCERT_LOAD.concert.load."+outcast+".x.0",
		"DIRECT.GET.CONCERT_LOAD.concert.output."+outcast+"."+outcast+".x.0",
	)
}

// matches reports whether a pattern matches a subject, as servers match them: a
// wildcard in the subject is an ordinary token.
func matches(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, token := range p {
		if token == ">" {
			return len(s) > i
		}
		if i >= len(s) || token != "*" && token != s[i] {
			return false
		}
	}
	return len(p) == len(s)
}

func matchesAny(patterns []string, subject string) bool {
	for _, p := range patterns {
		if matches(p, subject) {
			return true
		}
	}
	return false
}
