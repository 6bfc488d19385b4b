package coalesce_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/msgorch/msgorch/internal/coalesce"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(width, most int) coalesce.Options {
	return coalesce.Options{Width: width, Max: most, Timeout: time.Minute, Split: func(err error) bool { return errors.Is(err, errBad) }}
}

var errBad = errors.New("bad item")

func TestWhoComesAloneIsServedAlone(t *testing.T) {
	t.Parallel()
	g := coalesce.New(options(1, 10), func(_ context.Context, batch []int) ([]int, error) {
		return batch, nil
	})
	for i := range 3 {
		got, err := g.Do(t.Context(), i)
		if got != i || err != nil {
			t.Fatalf("Do(%d) = %d, %v", i, got, err)
		}
	}
}

func TestWhoeverWaitsGoesInTheNextBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var sizes []int
		g := coalesce.New(options(1, 10), func(_ context.Context, batch []int) ([]int, error) {
			sizes = append(sizes, len(batch)) // one batch at a time: no lock needed
			<-release
			return batch, nil
		})
		var callers sync.WaitGroup
		for i := range 26 {
			callers.Go(func() {
				if got, err := g.Do(t.Context(), i); got != i || err != nil {
					t.Errorf("Do(%d) = %d, %v", i, got, err)
				}
			})
			if i == 0 {
				synctest.Wait() // it goes alone; the others meet behind it
			}
		}
		synctest.Wait()
		close(release)
		callers.Wait()
		if want := []int{1, 10, 10, 5}; !slices.Equal(sizes, want) {
			t.Errorf("batches of %v, want %v", sizes, want)
		}
	})
}

// In a bubble the clock stands still while anybody runs, so times are exact.
func TestTheNextBatchGathersUntilAsManyWaitAsWentInTheLast(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, c := range []struct {
		work       time.Duration
		last, next int
		wait       time.Duration
	}{
		{work: 4 * ms, last: 1, next: 1, wait: 0}, // who comes alone is not waited for
		{work: 4 * ms, last: 2, next: 1, wait: 8 * ms},
		{work: 4 * ms, last: 3, next: 2, wait: 8 * ms},
		{work: 4 * ms, last: 3, next: 3, wait: 0},
		{work: 4 * ms, last: 5, next: 1, wait: 0}, // half of the most is many enough
		{work: ms / 4, last: 2, next: 1, wait: 2 * ms},
		{work: ms, last: 2, next: 1, wait: 4 * ms},
		{work: 8 * ms, last: 2, next: 1, wait: 15 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := coalesce.New(options(1, 10), func(_ context.Context, batch []int) ([]int, error) {
				<-time.After(c.work)
				return batch, nil
			})
			var all sync.WaitGroup
			ask := func(callers int) {
				for range callers {
					all.Go(func() { _, _ = g.Do(t.Context(), 1) })
				}
			}
			ask(1) // goes alone; the others meet behind it
			synctest.Wait()
			ask(c.last)
			all.Wait()

			began := time.Now()
			ask(c.next)
			all.Wait()
			took := time.Since(began)
			<-time.After(time.Second) // no rest is left
			if took != c.wait+c.work {
				t.Errorf("after a batch of %d in %v the next %d were served after %v, want a wait of %v and the work", c.last, c.work, c.next, took, c.wait)
			}
		})
	}
}

func TestABatchBeginsAsSoonAsAsManyWaitAsWentInTheLast(t *testing.T) {
	t.Parallel()
	for at, want := range map[time.Duration]time.Duration{ // when the second caller of a batch comes, and when it is served, counted from the last batch's begin
		time.Millisecond:      8 * time.Millisecond, // while the last works
		7 * time.Millisecond:  11 * time.Millisecond,
		20 * time.Millisecond: 24 * time.Millisecond, // when the first has gone alone
	} {
		synctest.Test(t, func(t *testing.T) {
			g := coalesce.New(options(1, 10), func(_ context.Context, batch []int) ([]int, error) {
				<-time.After(4 * time.Millisecond)
				return batch, nil
			})
			var all sync.WaitGroup
			ask := func() { all.Go(func() { _, _ = g.Do(t.Context(), 1) }) }
			ask() // goes alone; the others meet behind it
			synctest.Wait()
			ask()
			ask()
			<-time.After(4 * time.Millisecond)
			synctest.Wait()

			began := time.Now()
			ask()
			<-time.After(at)
			ask()
			all.Wait()
			took := time.Since(began)
			<-time.After(time.Second) // no rest is left
			if took != want {
				t.Errorf("who came after %v was served after %v, want %v", at, took, want)
			}
		})
	}
}

// A lock that a batch waits for is no matter of those who come meanwhile.
func TestABatchThatIsLateHoldsUpNobody(t *testing.T) {
	t.Parallel()
	stuck, release := make(chan struct{}), make(chan struct{})
	g := coalesce.New(options(2, 10), func(_ context.Context, batch []int) ([]int, error) {
		if batch[0] == 0 {
			close(stuck)
			<-release
		}
		return batch, nil
	})
	var first sync.WaitGroup
	first.Go(func() { _, _ = g.Do(t.Context(), 0) })
	<-stuck
	for i := 1; i < 5; i++ {
		if got, err := g.Do(t.Context(), i); got != i || err != nil {
			t.Errorf("Do(%d) = %d, %v", i, got, err)
		}
	}
	close(release)
	first.Wait()
	if got, err := g.Do(t.Context(), 7); got != 7 || err != nil {
		t.Errorf("Do(7) = %d, %v after the late one ended", got, err)
	}
}

// Whatever is late and whoever comes when, each is served once.
func TestEverybodyIsServedOnceHoweverLateBatchesAre(t *testing.T) {
	t.Parallel()
	var served atomic.Int64
	g := coalesce.New(options(3, 4), func(_ context.Context, batch []int) ([]int, error) {
		if batch[0]%3 == 0 {
			<-time.After(60 * time.Millisecond) // later than a batch may be
		}
		served.Add(int64(len(batch)))
		return batch, nil
	})
	var callers sync.WaitGroup
	for i := range 200 {
		callers.Go(func() {
			if got, err := g.Do(t.Context(), i); got != i || err != nil {
				t.Errorf("Do(%d) = %d, %v", i, got, err)
			}
		})
	}
	callers.Wait()
	if served.Load() != 200 {
		t.Errorf("served %d times, want 200", served.Load())
	}
}

func TestOneBadItemDoesNotFailItsNeighbours(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	g := coalesce.New(options(1, 10), func(_ context.Context, batch []int) ([]int, error) {
		<-hold
		if slices.Contains(batch, 3) {
			return nil, errBad
		}
		return batch, nil
	})
	errs := make([]error, 6)
	var callers sync.WaitGroup
	for i := range errs {
		callers.Go(func() { _, errs[i] = g.Do(t.Context(), i) })
	}
	close(hold)
	callers.Wait()
	for i, err := range errs {
		if wantErr := i == 3; (err != nil) != wantErr {
			t.Errorf("item %d: error %v", i, err)
		}
	}
}

func TestACallerWhoGivesUpLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	g := coalesce.New(options(1, 10), func(ctx context.Context, batch []int) ([]int, error) {
		<-hold
		return batch, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Do(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("error = %v, want canceled", err)
	}
	close(hold)
	if got, err := g.Do(t.Context(), 2); got != 2 || err != nil {
		t.Fatalf("Do = %d, %v after another gave up", got, err)
	}
}

func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	g := coalesce.New(options(1, 10), func(context.Context, []int) ([]int, error) { panic("oh") })
	if _, err := g.Do(t.Context(), 1); err == nil {
		t.Fatal("no error")
	}
}

func TestWhoLooksUpTogetherAsksOnceAndNoBadKeyFailsAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := map[int]int{} // questions by how many keys they had
		isBad := func(err error) bool { return errors.Is(err, errBad) }
		g := coalesce.Lookup(isBad, func(v string) int { return len(v) }, func(_ context.Context, keys []int) ([]string, error) {
			asked[len(keys)]++ // one question at a time: no lock needed
			<-time.After(time.Millisecond)
			if slices.Contains(keys, -1) {
				return nil, errBad
			}
			return []string{"a", "bb"}, nil // in no order of the keys, and not all of them
		})
		look := func(key int, want string, wantErr error) {
			got, err := g.Do(t.Context(), key)
			if !errors.Is(err, wantErr) || (got == nil) != (want == "") || got != nil && *got != want {
				t.Errorf("%d leads to %v, %v", key, got, err)
			}
		}
		var all sync.WaitGroup
		meet := func(looks ...func()) {
			all.Go(func() { look(1, "a", nil) }) // goes alone; the others meet behind it
			synctest.Wait()
			for _, l := range looks {
				all.Go(l)
			}
			all.Wait()
			<-time.After(time.Second) // no rest is left
		}
		meet(func() { look(2, "bb", nil) }, func() { look(2, "bb", nil) }, func() { look(3, "", nil) })
		if asked[3] != 1 || asked[1] != 1 {
			t.Errorf("three who waited asked %v", asked)
		}
		meet(func() { look(2, "bb", nil) }, func() { look(-1, "", errBad) })
	})
}
