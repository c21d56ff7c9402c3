package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// maxResults is the maximum number of results of a client that the servers
// store until the client acknowledges them. A client of package cluster has
// fewer: at most one result for each of its tasks.
const maxResults = 1 << 17

const limitPeriod = 500 * time.Millisecond // time between two checks of the limits

// limit is a limit of the number of messages that a stream stores for each
// client. NATS has no limit for several subjects together. So if a client
// has more messages, the servers remove the oldest ones.
type limit struct {
	stream string
	max    int
	prune  func(ctx context.Context, client string, holders []Holder) error

	counted uint64 // sequence number of the last message of the stream when the limit was last enforced
}

// storageLimits returns the limits for each client.
func (s *Server) storageLimits() (all []*limit) {
	add := func(stream string, max int, prune func(ctx context.Context, client string, holders []Holder) error) {
		if max > 0 {
			all = append(all, &limit{stream: stream, max: max, prune: prune})
		}
	}
	keep := func(stream, filter string, max int) {
		add(stream, max, func(ctx context.Context, client string, _ []Holder) error {
			return s.keepNewest(ctx, client, stream, fmt.Sprintf(filter, client), max)
		})
	}
	keep(wire.TaskStream, wire.TaskSubject("*", "%s"), s.options.Tasks)
	keep(wire.ResultStream, "concert.result.%s.>", maxResults)
	keep(wire.BlobStream, "concert.load.%s.>", s.options.Parts)
	add(wire.BlobStream, s.options.Parts, s.limitOutputs)
	return all
}

// limitOutputs removes the oldest parts of a client's large results, if a
// worker has stored more than Options.Parts. Each worker has its own limit, so
// that a worker cannot make the servers remove parts of other workers. The name
// of a part contains the key of a worker, but the client itself can store parts
// with the name of any key. So there is also a limit for all parts together.
func (s *Server) limitOutputs(ctx context.Context, client string, holders []Holder) error {
	prefix := "concert.output." + client + "."
	n, err := s.countParts(ctx, prefix+">")
	if err != nil || n <= s.options.Parts {
		return err
	}
	workers := 0
	for _, h := range holders {
		if h.Role == Client {
			continue
		}
		workers++
		if err := s.keepNewest(ctx, client, wire.BlobStream, prefix+h.Key+".>", s.options.Parts); err != nil {
			return err
		}
	}
	return s.keepNewest(ctx, client, wire.BlobStream, prefix+">", s.options.Parts*(workers+1))
}

// limitStreams enforces the limits until the server stops. The maximum number
// of messages that one client may have depends on the stream. limitStreams
// checks the clients of a stream only if the stream holds more messages than
// this maximum, and if at least a quarter of this maximum was stored since the
// last check. So a client exceeds a limit by about a quarter at most.
func (s *Server) limitStreams() {
	tick := time.NewTicker(limitPeriod)
	defer tick.Stop()
	all := s.storageLimits()
	for {
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			return
		}
		for _, b := range all {
			ctx, cancel := context.WithTimeout(s.ctx, requestTimeout)
			stream, err := s.service.js.Stream(ctx, b.stream)
			if err == nil {
				err = s.enforce(ctx, b, stream.CachedInfo())
			}
			cancel()
			if err != nil {
				break // the servers cannot be reached, or are busy
			}
		}
	}
}

// enforce enforces a limit for all clients, if enough messages were stored
// since the last time. If there are several servers, only the leader of the
// stream enforces the limit.
func (s *Server) enforce(ctx context.Context, b *limit, info *jetstream.StreamInfo) error {
	if c := info.Cluster; c != nil && c.Leader != s.server.Name() {
		return nil
	}
	last := info.State.LastSeq
	if last < b.counted { // the stream was created again
		b.counted = 0
	}
	if info.State.Msgs <= uint64(b.max) || last-b.counted <= uint64(b.max/4) {
		return nil
	}
	holders, err := s.options.Keyring.Holders()
	if err != nil {
		return err
	}
	for _, h := range holders {
		if h.Role != Client {
			continue
		}
		if err := b.prune(ctx, h.Key, holders); err != nil {
			return err
		}
	}
	b.counted = last
	return nil
}

// keepNewest removes the oldest messages of a client in a stream, so that at
// most max messages remain.
func (s *Server) keepNewest(ctx context.Context, client, stream, filter string, max int) error {
	body, err := json.Marshal(map[string]any{"filter": filter, "keep": max})
	if err != nil {
		return err
	}
	m, err := s.service.nc.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+stream, body)
	if err != nil {
		return err
	}
	var answer struct {
		Purged uint64              `json:"purged"`
		Error  *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	if answer.Purged > 0 {
		slog.Warn("server: removed the oldest messages of a client, because they exceeded a limit", "key", client, "stream", stream, "removed", answer.Purged, "limit", max)
	}
	return nil
}

// countParts returns the number of parts whose subjects match the filter.
func (s *Server) countParts(ctx context.Context, filter string) (int, error) {
	body, err := json.Marshal(map[string]any{"seq": 1, "batch": 1, "next_by_subj": filter})
	if err != nil {
		return 0, err
	}
	first, err := s.service.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+wire.BlobStream, body)
	if err != nil {
		return 0, err
	}
	pending := first.Header.Get("Nats-Num-Pending")
	if pending == "" { // there is no message
		return 0, nil
	}
	more, err := strconv.Atoi(pending)
	return more + 1, err
}
