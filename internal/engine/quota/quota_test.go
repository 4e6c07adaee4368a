package quota

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever shares do, the quota is their sum, and 0 when all are released.
func TestQuotaIsTheSumOfItsShares(t *testing.T) {
	const limit = 1000
	q := New(limit)
	var shares [8]Share
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		s, n := &shares[random.IntN(len(shares))], random.IntN(200)
		switch random.IntN(5) {
		case 0:
			if over := s.Grow(q, n); over != q.Over() {
				t.Fatalf("Grow says over=%t with %d of %d", over, q.Used(), limit)
			}
		case 1:
			before, held := q.Used(), s.Held()
			if s.TryGrow(q, n) {
				held += n
			}
			if s.Held() != held || q.Used() > limit && q.Used() > before {
				t.Fatalf("TryGrow(%d) made %d of %d", n, q.Used(), before)
			}
		case 2:
			s.Shrink(min(n, s.Held()))
		case 3:
			grows := n > s.Held()
			if ok := s.Resize(q, n); ok == (grows && q.Over()) || s.Held() != n {
				t.Fatalf("Resize(%d) says %t and made %d; %d of %d are used", n, ok, s.Held(), q.Used(), limit)
			}
		case 4:
			s.Release()
		}
		sum := 0
		for i := range shares {
			sum += shares[i].Held()
		}
		if q.Used() != int64(sum) || q.Over() != (sum > limit) {
			t.Fatalf("the quota holds %d, its shares %d", q.Used(), sum)
		}
	}
	for i := range shares {
		shares[i].Release()
	}
	if q.Used() != 0 {
		t.Errorf("%d bytes are held when nobody holds any", q.Used())
	}
}

// The shard with the largest share wins, the first of equals.
func TestTheLargestShareWins(t *testing.T) {
	for _, test := range []struct {
		offers []int
		winner int
	}{
		{[]int{7}, 0},
		{[]int{0, 0}, 0},
		{[]int{1, 9, 4}, 1},
		{[]int{3, 2, 3}, 0},
	} {
		q := New(0)
		if !q.Elect(len(test.offers)) {
			t.Fatal("the first election is refused")
		}
		for shard, most := range test.offers {
			winner, last := q.Offer(shard, most)
			if last != (shard == len(test.offers)-1) {
				t.Errorf("%v: offer %d is the last: %t", test.offers, shard, last)
			}
			if last && winner != test.winner {
				t.Errorf("%v: shard %d won, not %d", test.offers, winner, test.winner)
			}
		}
	}
}

// Until the winner has acted there is no other election.
func TestOneElectionAtATime(t *testing.T) {
	const shards = 4
	q := New(0)
	var winners atomic.Int32
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if !q.Elect(shards) {
				return
			}
			for shard := range shards {
				if q.Elect(shards) {
					t.Error("an election began inside another")
				}
				if _, last := q.Offer(shard, 1); last {
					winners.Add(1)
				}
			}
			if q.Elect(shards) {
				t.Error("an election began before the winner of the last had acted")
			}
			q.Done()
		})
	}
	all.Wait()
	if winners.Load() == 0 {
		t.Error("nobody won")
	}
}

// A share that shrinks below nothing, or takes from two quotas, is a defect.
func TestSharesCannotLie(t *testing.T) {
	for what, do := range map[string]func(){
		"too much back": func() { new(Share).Shrink(1) },
		"two quotas":    func() { s := new(Share); s.Grow(New(1), 1); s.Grow(New(1), 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: accepted", what)
				}
			}()
			do()
		}()
	}
}
