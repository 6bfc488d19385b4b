package config

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/hibiken/asynq"
)

// parseRedisURL understands, each with optional user:password@ and ports that
// default to 6379 (sentinels: 26379):
//
//	redis://host:port/db
//	redis-sentinel://host:port,host:port/db?master=name&password=text
//	redis-cluster://host:port,host:port
//
// rediss:, rediss-sentinel: and rediss-cluster: are the same over TLS. In a
// sentinel URL the password before @ is the sentinels', the one in the query
// is the Redis servers'. A list holds names and IPv4 addresses; an IPv6 address
// stands alone.
//
// asynq.ParseRedisURI is not used: it loses user names, ports, the database and
// the password of servers behind sentinels, and knows no clusters.
func parseRedisURL(s string) (asynq.RedisConnOpt, error) {
	u, err := parseURL(s)
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	if u.User.Username() != "" && password == "" {
		return nil, errors.New("has a user without a password (a password alone is written :password@)")
	}
	var secure *tls.Config // the server's name is filled in when dialing
	if strings.HasPrefix(u.Scheme, "rediss") {
		secure = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	switch u.Scheme {
	case "redis", "rediss":
		return singleServer(u, secure)
	case "redis-sentinel", "rediss-sentinel":
		return sentinels(u, secure)
	case "redis-cluster", "rediss-cluster":
		return cluster(u, secure)
	}
	return nil, errors.New("must begin with redis://, rediss://, redis-sentinel:// or redis-cluster://")
}

func singleServer(u *url.URL, secure *tls.Config) (asynq.RedisConnOpt, error) {
	addr, err := parseServerAddr(u.Host, "6379")
	if err != nil {
		return nil, err
	}
	db, err := database(u)
	if err != nil {
		return nil, err
	}
	password, _ := u.User.Password()
	return asynq.RedisClientOpt{
		Addr:      addr,
		Username:  u.User.Username(),
		Password:  password,
		DB:        db,
		TLSConfig: secure,
	}, nil
}

func sentinels(u *url.URL, secure *tls.Config) (asynq.RedisConnOpt, error) {
	addrs, err := serverAddrs(u, "26379")
	if err != nil {
		return nil, err
	}
	db, err := database(u)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	if query.Get("master") == "" {
		return nil, errors.New("must name the master, as in redis-sentinel://host:26379?master=mymaster")
	}
	password, _ := u.User.Password()
	return asynq.RedisFailoverClientOpt{
		MasterName:       query.Get("master"),
		SentinelAddrs:    addrs,
		SentinelUsername: u.User.Username(),
		SentinelPassword: password,
		Username:         query.Get("username"),
		Password:         query.Get("password"),
		DB:               db,
		TLSConfig:        secure,
	}, nil
}

func cluster(u *url.URL, secure *tls.Config) (asynq.RedisConnOpt, error) {
	addrs, err := serverAddrs(u, "6379")
	if err != nil {
		return nil, err
	}
	if db, err := database(u); err != nil || db != 0 {
		return nil, errors.New("must not name a database: a cluster has only one")
	}
	password, _ := u.User.Password()
	return asynq.RedisClusterClientOpt{
		Addrs:     addrs,
		Username:  u.User.Username(),
		Password:  password,
		TLSConfig: secure,
	}, nil
}

// serverAddrs returns the servers of a URL that lists several.
func serverAddrs(u *url.URL, defaultPort string) ([]string, error) {
	var addrs []string
	for s := range strings.SplitSeq(u.Host, ",") {
		addr, err := parseServerAddr(s, defaultPort)
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// database returns the database number that is the path of a Redis URL.
func database(u *url.URL) (int, error) {
	path := strings.Trim(u.Path, "/")
	if path == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(path)
	if err != nil || n < 0 {
		return 0, errors.New("must end in a database number, as in redis://127.0.0.1:6379/0")
	}
	return n, nil
}
