package quantity

import "testing"

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "512": 512, "512B": 512, "64KiB": 64 << 10, "64kib": 64 << 10, "64KB": 64_000, "1.5 MiB": 3 << 19, "9223372036854775807": 1<<63 - 1,
	} {
		if n, err := ParseBytes(s); err != nil || n != want {
			t.Errorf("%q is %d, %v; want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "-1", "KiB", "1 apple", "1e3", "1KiBMiB", "9223372036854775808"} {
		if n, err := ParseBytes(s); err == nil {
			t.Errorf("%q is %d", s, n)
		}
	}
}

func TestQuantitiesAsPeopleReadThem(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{Bytes(-1), "0 B"},
		{Bytes(1023), "1023 B"},
		{Bytes(64 << 20), "64 MiB"},
		{Bytes(int64(3 << 40)), "3.0 TiB"},
		{Count(0, "client"), "0 clients"},
		{Count(1, "client"), "1 client"},
		{Count(uint64(1200), "client"), "1200 clients"},
		{Plural(int64(1), "byte"), "byte"},
		{Grouped(999), "999"},
		{Grouped(1000), "1,000"},
		{Grouped(uint64(1<<64 - 1)), "18,446,744,073,709,551,615"},
	} {
		if c.got != c.want {
			t.Errorf("it is %s, want %s", c.got, c.want)
		}
	}
}
