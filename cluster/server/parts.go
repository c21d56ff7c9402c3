package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

const (
	defaultParts = 1 << 14                // of a client: see Options.Parts
	partsPeriod  = 500 * time.Millisecond // between two checks of how many parts were stored
)

// boundParts removes the oldest parts of large values of each client that has
// more than Options.Parts. It runs until the server stops. NATS has no limit
// for all subjects of a client together. boundParts counts the parts of each
// client when all clients together have stored a quarter of the limit since the
// last count. So a client exceeds the limit by about a quarter at most.
func (s *Server) boundParts() {
	tick := time.NewTicker(partsPeriod)
	defer tick.Stop()
	next := uint64(s.options.Parts / 4) // the sequence number at which the next count is due
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), doorTime)
		stream, err := s.door.js.Stream(ctx, wire.LoadStream)
		if err == nil {
			info := stream.CachedInfo()
			leads := info.Cluster == nil || info.Cluster.Leader == s.server.Name()
			if last := info.State.LastSeq; leads && last >= next && s.countParts(ctx, stream) == nil {
				next = last + uint64(s.options.Parts/4) + 1
			}
		}
		cancel()
	}
}

// countParts counts the parts of each client, and removes those above the limit.
func (s *Server) countParts(ctx context.Context, stream jetstream.Stream) error {
	holders, err := s.options.Keyring.Holders()
	if err != nil {
		return err
	}
	for _, h := range holders {
		if h.Role != Client {
			continue
		}
		for _, prefix := range []string{"concert.load.", "concert.output."} {
			filter := prefix + h.Key + ".>"
			body, err := json.Marshal(map[string]any{"seq": 1, "batch": 1, "next_by_subj": filter})
			if err != nil {
				return err
			}
			first, err := s.door.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+wire.LoadStream, body)
			if err != nil {
				return err
			}
			more, _ := strconv.Atoi(first.Header.Get("Nats-Num-Pending")) // 0 if there is no message
			if more < s.options.Parts {
				continue
			}
			slog.Warn("server: removing the oldest parts of a client's large values: there are too many", "key", h.Key, "parts", more+1, "limit", s.options.Parts)
			if err := stream.Purge(ctx, jetstream.WithPurgeSubject(filter), jetstream.WithPurgeKeep(uint64(s.options.Parts))); err != nil {
				return err
			}
		}
	}
	return nil
}
