package cluster_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// untilResults waits until the servers have the wanted number of results.
func untilResults(t *testing.T, ex *cluster.Executor, want uint64) {
	t.Helper()
	for results := want + 1; results != want; time.Sleep(time.Millisecond) {
		_, results = ex.Stored(t)
	}
}

// untilQueued waits until the servers have acknowledged the wanted number of
// calls.
func untilQueued(ex *cluster.Executor, want int) {
	for ex.Queued() != want {
		time.Sleep(time.Millisecond)
	}
}

// expireResults makes the stored result expire.
func expireResults(t *testing.T, ex *cluster.Executor) {
	t.Helper()
	untilResults(t, ex, 1)
	ex.KeepResults(t, 200*time.Millisecond)
	untilResults(t, ex, 0)
	ex.KeepResults(t, wire.ResultAge)
}

// auditTwice audits the calls twice: as if the duration after had passed,
// and as if two more seconds had passed. Only the second audit confirms that
// a call is lost.
func auditTwice(t *testing.T, ex *cluster.Executor, after time.Duration) {
	t.Helper()
	ex.AuditAfter(t, after)
	ex.AuditAfter(t, after+2*time.Second)
}

// dialAt connects a client to a server by its URL, until the test ends.
func dialAt(t *testing.T, url string, access cluster.Access) *cluster.Executor {
	t.Helper()
	ex, err := cluster.Dial(t.Context(), url, &cluster.Options{Access: access, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	return ex
}

// settles checks that a task settles, and that its value is want.
func settles(t *testing.T, fut *concert.Future[string], want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if got, err := fut.Result(ctx); got != want || err != nil {
		t.Errorf("the result is %q, %v, want %q", got, err, want)
	}
}

// TestAudit_ResultExpired: if a result expires before its client has received
// it, and the servers still have the session of the client, the task must run
// again.
func TestAudit_ResultExpired(t *testing.T) {
	t.Parallel()
	t.Run("away", func(t *testing.T) {
		s := embedded(t, "")
		direct, way := cluster.Access{InProcess: s}, &network{to: s}
		ex, admin := dial(t, cluster.Access{InProcess: way}), dial(t, direct)
		name, h := newHold(t)
		serve(t, direct, 2)
		fut := concert.Submit(t.Context(), ex, held, name)
		kept := concert.Submit(cluster.WithID(t.Context(), name), ex, held, name)
		<-h.began
		<-h.began
		way.cut()
		close(h.let)
		expireResults(t, admin)
		cluster.Purge(t, direct, wire.KeptStream, wire.KeptStream, 1)
		way.heal(s)
		settles(t, fut, name)
		settles(t, kept, name)
	})
	t.Run("away while the server restarts", func(t *testing.T) {
		dir := t.TempDir()
		s := embedded(t, dir)
		way, work := &network{to: s}, &network{to: s}
		ex := dial(t, cluster.Access{InProcess: way})
		name, h := newHold(t)
		stop := serve(t, cluster.Access{InProcess: work}, 1)
		fut := concert.Submit(t.Context(), ex, held, name)
		<-h.began
		way.cut()
		close(h.let)
		admin := dial(t, cluster.Access{InProcess: s})
		untilResults(t, admin, 1)
		work.cut()
		admin.Close()
		s.Close()
		s = embedded(t, dir)
		expireResults(t, dial(t, cluster.Access{InProcess: s}))
		work.heal(s)
		way.heal(s)
		settles(t, fut, name)
		stop() // the worker must end before the cleanup closes the server
		ex.Close()
	})
	t.Run("connected, as the clock of the servers jumps", func(t *testing.T) {
		s := embedded(t, "")
		direct := cluster.Access{InProcess: s}
		ex := dial(t, direct)
		name, h := newHold(t)
		serve(t, direct, 1)
		fut := concert.Submit(t.Context(), ex, held, name)
		<-h.began
		ex.Pause(t, ex, time.Now().Add(time.Hour))
		close(h.let)
		expireResults(t, ex)
		ex.Pause(t, ex, time.Now())
		auditTwice(t, ex, cluster.AuditAge)
		settles(t, fut, name)
	})
	t.Run("with keys", func(t *testing.T) {
		k := newKeyring(t)
		admin, client, worker := k.access(server.Admin, "admin"), k.access(server.Client, "client"), k.access(server.Worker, "worker")
		s := guarded(t, k)
		ex, boss := dialAt(t, s.URL(), client), dialAt(t, s.URL(), admin)
		name, h := newHold(t)
		serveAt(t, s.URL(), worker, 1)
		fut := concert.Submit(t.Context(), ex, held, name)
		<-h.began
		boss.Pause(t, ex, time.Now().Add(time.Hour))
		close(h.let)
		expireResults(t, boss)
		boss.Pause(t, ex, time.Now())
		auditTwice(t, ex, cluster.AuditAge)
		settles(t, fut, name)
	})
}

// TestAudit_TaskLost: if tasks are removed from the queue before a worker
// fetches them, the client must publish them again, even if other tasks have
// got the sequence numbers of the removed tasks.
func TestAudit_TaskLost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		lose func(t *testing.T, direct cluster.Access)
	}{
		{"purged", func(t *testing.T, direct cluster.Access) {
			cluster.Purge(t, direct, wire.TaskStream, wire.TaskStream, 2)
		}},
		{"stream created again", cluster.Remake},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := embedded(t, "")
			direct, work := cluster.Access{InProcess: s}, &network{to: s}
			ex, other := dial(t, direct), dial(t, direct)
			name, h := newHold(t)
			serve(t, cluster.Access{InProcess: work}, 8)
			settles(t, concert.Submit(t.Context(), ex, greet, name), name)
			settles(t, concert.Submit(t.Context(), other, greet, name), name)
			close(h.let)
			work.cut()
			fut := concert.Submit(t.Context(), ex, held, name)
			kept := concert.Submit(cluster.WithID(t.Context(), name), ex, held, name)
			untilQueued(ex, 2)
			row.lose(t, direct)
			others := make([]*concert.Future[string], 4)
			for i := range others {
				others[i] = concert.Submit(t.Context(), other, held, name)
			}
			untilQueued(other, len(others))
			auditTwice(t, ex, cluster.AuditAge)
			work.heal(s)
			for _, f := range append(others, fut, kept) {
				settles(t, f, name)
			}
		})
	}
}

// TestAudit_Intact: while the servers have the task or the result of a call,
// audits must not make the task run again.
func TestAudit_Intact(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	ex := dial(t, direct)
	name, h := newHold(t)
	stop := serve(t, direct, 2)
	running := concert.Submit(t.Context(), ex, held, name)
	kept := concert.Submit(cluster.WithID(t.Context(), name), ex, held, name)
	<-h.began
	<-h.began
	untilQueued(ex, 2)
	auditTwice(t, ex, cluster.AuditAge)
	auditTwice(t, ex, 2*cluster.AuditAge)
	ex.Pause(t, ex, time.Now().Add(time.Hour))
	close(h.let)
	untilResults(t, ex, 1)
	auditTwice(t, ex, 3*cluster.AuditAge)
	ex.Pause(t, ex, time.Now())
	settles(t, running, name)
	settles(t, kept, name)
	stop()
	if n := len(h.began); n > 0 {
		t.Errorf("the tasks ran again, %d times", n)
	}
}

// TestAudit_ConsumerStuck: if the session's consumer does not deliver a stored
// result, the client must create the consumer again, and the task must not run
// again.
func TestAudit_ConsumerStuck(t *testing.T) {
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	ex := dial(t, direct)
	name, h := newHold(t)
	serve(t, direct, 1)
	fut := concert.Submit(t.Context(), ex, held, name)
	<-h.began
	ex.Pause(t, ex, time.Now().Add(time.Hour))
	close(h.let)
	untilResults(t, ex, 1)
	ex.AuditAfter(t, cluster.AuditAge)
	ex.AuditAfter(t, 2*cluster.AuditAge)
	settles(t, fut, name)
	if n := len(h.began); n > 0 {
		t.Errorf("the task ran again, %d times", n)
	}
}

// TestAudit_LostAgain: if a task is lost each time it is published, it must
// settle with ErrLost.
func TestAudit_LostAgain(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct, work := cluster.Access{InProcess: s}, &network{to: s}
	ex := dial(t, direct)
	serve(t, cluster.Access{InProcess: work}, 8)
	settles(t, concert.Submit(t.Context(), ex, greet, "x"), "x")
	work.cut()
	fut := concert.Submit(t.Context(), ex, greet, t.Name())
	kept := concert.Submit(cluster.WithID(t.Context(), t.Name()), ex, greet, t.Name())
	for i := range 4 {
		untilQueued(ex, 2)
		cluster.Purge(t, direct, wire.TaskStream, wire.TaskStream, 2)
		auditTwice(t, ex, time.Duration(i+1)*2*cluster.AuditAge)
	}
	for _, f := range []*concert.Future[string]{fut, kept} {
		if got, err := f.Result(t.Context()); !errors.Is(err, cluster.ErrLost) {
			t.Errorf("the result is %q, %v, want ErrLost", got, err)
		}
	}
	work.heal(s)
}

// TestAudit_CanceledLost: if the task and the result of a canceled call are
// lost, the call must settle, even if the worker that ran the task is alive.
func TestAudit_CanceledLost(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	ex := dial(t, direct)
	name, h := newHold(t)
	serve(t, direct, 1)
	ctx, cancel := context.WithCancel(t.Context())
	fut := concert.Submit(ctx, ex, held, name)
	<-h.began
	ex.Pause(t, ex, time.Now().Add(time.Hour))
	close(h.let)
	expireResults(t, ex)
	cancel()
	auditTwice(t, ex, cluster.AuditAge)
	if got, err := fut.Result(t.Context()); !errors.Is(err, cluster.ErrLost) || !errors.Is(err, context.Canceled) {
		t.Errorf("the result is %q, %v, want ErrLost and Canceled", got, err)
	}
}

// TestServe_RepublishesFunctions: if the servers lose the functions of a
// worker, as when their clock jumps by a day, the worker must publish its
// functions again.
func TestServe_RepublishesFunctions(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.ShortSilence(cluster.Access{InProcess: s}, 50*time.Millisecond)
	before := dial(t, direct)
	serve(t, direct, 1)
	settles(t, concert.Submit(t.Context(), before, greet, "x"), "x")
	contracts := wire.BucketStream(wire.CapabilityBucket)
	cluster.Purge(t, direct, contracts, contracts, 1)
	settles(t, concert.Submit(t.Context(), dial(t, direct), greet, "y"), "y")
}

// greet returns its argument.
var greet = concert.Register("cluster_test.greet", func(_ context.Context, name string) (string, error) { return name, nil })
