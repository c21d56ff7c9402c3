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

// These are the limits of what the streams store for a client.
const (
	defaultTasks = 1 << 15 // see Options.Tasks
	defaultParts = 1 << 14 // see Options.Parts

	// Results that the client has not taken. It has no more tasks than places
	// in the queues, but a client that floods the servers need not take
	// results.
	mostResults = 1 << 17
)

const boundPeriod = 500 * time.Millisecond // between two checks of how much was stored

// bound limits how many messages of one client a stream stores. NATS has no
// limit for several subjects together, so the servers remove the oldest
// messages above the limit.
type bound struct {
	stream string
	most   int
	prune  func(ctx context.Context, client string, holders []Holder) error

	counted uint64 // number of the last message of the stream at the last check of the clients
}

// bounds returns the limits for each client.
func (s *Server) bounds() (all []*bound) {
	add := func(stream string, most int, prune func(ctx context.Context, client string, holders []Holder) error) {
		if most > 0 {
			all = append(all, &bound{stream: stream, most: most, prune: prune})
		}
	}
	keep := func(stream, filter string, most int) {
		add(stream, most, func(ctx context.Context, client string, _ []Holder) error {
			return s.keepNewest(ctx, client, stream, fmt.Sprintf(filter, client), most)
		})
	}
	keep(wire.TaskStream, wire.TaskSubject("*", "%s"), s.options.Tasks)
	keep(wire.ResultStream, "concert.result.%s.>", mostResults)
	keep(wire.LoadStream, "concert.load.%s.>", s.options.Parts)
	add(wire.LoadStream, s.options.Parts, s.boundOutputs)
	return all
}

// boundOutputs removes the oldest parts of a client's large results, if a
// worker has stored more than Options.Parts. Each worker has a limit of its
// own, so none pushes out what another one has stored. The names have the key
// of a worker, but the client can store parts under any name: so there is a
// limit for all of them together.
func (s *Server) boundOutputs(ctx context.Context, client string, holders []Holder) error {
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
		if err := s.keepNewest(ctx, client, wire.LoadStream, prefix+h.Key+".>", s.options.Parts); err != nil {
			return err
		}
	}
	return s.keepNewest(ctx, client, wire.LoadStream, prefix+">", s.options.Parts*(workers+1))
}

// boundStreams keeps the limits of all clients until the server stops. It
// checks the clients when a stream holds more than one of them may have, and a
// quarter of that was stored since the last check. So a client exceeds a limit
// by about a quarter at most.
func (s *Server) boundStreams() {
	tick := time.NewTicker(boundPeriod)
	defer tick.Stop()
	all := s.bounds()
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		for _, b := range all {
			ctx, cancel := context.WithTimeout(context.Background(), doorTime)
			stream, err := s.door.js.Stream(ctx, b.stream)
			if err == nil {
				err = s.check(ctx, b, stream.CachedInfo())
			}
			cancel()
			if err != nil {
				break // the servers are away, or busy
			}
		}
	}
}

// check keeps a limit of all clients, if that is due. Of several servers, the
// leader of the stream does it.
func (s *Server) check(ctx context.Context, b *bound, info *jetstream.StreamInfo) error {
	if c := info.Cluster; c != nil && c.Leader != s.server.Name() {
		return nil
	}
	last := info.State.LastSeq
	if last < b.counted { // the stream was created again
		b.counted = 0
	}
	if info.State.Msgs <= uint64(b.most) || last-b.counted <= uint64(b.most/4) {
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

// keepNewest removes the oldest messages of a client in a stream, except so
// many.
func (s *Server) keepNewest(ctx context.Context, client, stream, filter string, most int) error {
	body, err := json.Marshal(map[string]any{"filter": filter, "keep": most})
	if err != nil {
		return err
	}
	m, err := s.door.nc.RequestWithContext(ctx, "$JS.API.STREAM.PURGE."+stream, body)
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
		slog.Warn("server: removed the oldest messages of a client: there were too many", "key", client, "stream", stream, "removed", answer.Purged, "limit", most)
	}
	return nil
}

// countParts returns how many parts have a subject that matches the filter.
func (s *Server) countParts(ctx context.Context, filter string) (int, error) {
	body, err := json.Marshal(map[string]any{"seq": 1, "batch": 1, "next_by_subj": filter})
	if err != nil {
		return 0, err
	}
	first, err := s.door.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+wire.LoadStream, body)
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
