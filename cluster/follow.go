package cluster

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// follow gives take the entries of a bucket, one after the other, until life ends: those that are there, and then each change. It
// returns when take has had those that are there, or ctx ends, which is no error: an entry that ends while it is on its way is waited
// for in vain.
func (l *link) follow(ctx, life context.Context, bucket string, take func(jetstream.KeyValueEntry)) error {
	return l.patiently(ctx, func(ctx context.Context) error { return l.followOnce(ctx, life, bucket, take) })
}

func (l *link) followOnce(ctx, life context.Context, bucket string, take func(jetstream.KeyValueEntry)) error {
	kv, err := l.js.KeyValue(ctx, bucket)
	if err != nil {
		return fmt.Errorf("cluster: bucket %s: %w", bucket, err)
	}
	watcher, err := kv.WatchAll(life)
	if err != nil {
		return fmt.Errorf("cluster: bucket %s: %w", bucket, err)
	}
	known := make(chan struct{})
	l.background.Go(func() {
		defer func() {
			watcher.Stop()
			for range watcher.Updates() { // what is on its way has to go somewhere
			}
		}()
		for {
			select {
			case entry, ok := <-watcher.Updates():
				switch {
				case !ok:
					return
				case entry == nil: // once: what was there has come
					close(known)
				default:
					take(entry)
				}
			case <-life.Done():
				return
			}
		}
	})
	select {
	case <-known:
	case <-ctx.Done():
	}
	return nil
}
