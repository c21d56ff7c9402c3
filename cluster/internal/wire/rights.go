package wire

// Rights is what somebody may publish and subscribe to.
type Rights struct{ Publish, Subscribe []string }

// ClientRights is what a client may do whose public key is C: publish its own tasks, cancel them, read what is addressed to it, and know
// which workers there are. It creates consumers of results for its own subjects only, as the subject is part of the request. A consumer that is there
// can be read and removed by whoever knows its name, which is a session's: random, and said to nobody but the servers and workers.
func ClientRights(c string) Rights {
	r := Rights{
		Publish: []string{
			"concert.task.*." + c,
			"concert.load." + c + ".>",
			"$KV." + CancelBucket + "." + c + ".>",
			"$JS.API.DIRECT.GET." + KeptStream + ".concert.kept." + c + ".*",
			"$JS.API.DIRECT.GET." + LoadStream + ".concert.load." + c + ".>",
			"$JS.API.CONSUMER.CREATE." + ResultStream + ".*.concert.result." + c + ".>",
			"$JS.API.CONSUMER.CREATE." + KeptStream + ".*.concert.kept." + c + ".>",
		},
		Subscribe: []string{"_INBOX_" + c + ".>", "concert.hint." + c + ".>"},
	}
	r.Publish = append(r.Publish, pull(ResultStream)...)
	r.Publish = append(r.Publish, pull(KeptStream)...)
	r.Publish = append(r.Publish, watch(WorkerBucket)...)
	r.Publish = append(r.Publish, watch(ContractBucket)...)
	return r
}

// WorkerRights is what a worker may do whose public key is w: take tasks of any client and contract, and publish results for any client. It
// cannot submit tasks.
func WorkerRights(w string) Rights {
	r := Rights{
		Publish: []string{
			"concert.result.>", "concert.kept.>", "concert.dead.>", "concert.load.>", "concert.hint.>",
			"$KV." + WorkerBucket + ".>",
			"$KV." + ContractBucket + ".>",
			"$JS.API.DIRECT.GET." + KeptStream + ".>",
			"$JS.API.DIRECT.GET." + LoadStream + ".>",
			"$JS.API.CONSUMER.DURABLE.CREATE." + TaskStream + ".*",
			"$JS.API.CONSUMER.CREATE." + TaskStream + ".>",
		},
		Subscribe: []string{"_INBOX_" + w + ".>"},
	}
	r.Publish = append(r.Publish, pull(TaskStream)...)
	r.Publish = append(r.Publish, watch(WorkerBucket)...)
	r.Publish = append(r.Publish, watch(ContractBucket)...)
	r.Publish = append(r.Publish, watch(CancelBucket)...)
	return r
}

// pull is what it takes to use consumers of a stream.
func pull(stream string) []string {
	return []string{
		"$JS.API.CONSUMER.INFO." + stream + ".*", "$JS.API.CONSUMER.MSG.NEXT." + stream + ".*", "$JS.API.CONSUMER.DELETE." + stream + ".*",
		"$JS.ACK." + stream + ".>",
	}
}

// watch is what it takes to follow a bucket.
func watch(bucket string) []string {
	return []string{
		"$JS.API.STREAM.INFO.KV_" + bucket, "$JS.API.CONSUMER.CREATE.KV_" + bucket + ".>", "$JS.API.CONSUMER.DELETE.KV_" + bucket + ".*",
		"$JS.FC.KV_" + bucket + ".>",
	}
}
