# nginx with a configuration of its own: source it behind apps.sh.

# start_nginx ROOT ADDRESS PORT [COMMAND...]: sets $nginx (its pid); fails if the port is
# taken. COMMAND runs it, for instance in a namespace.
start_nginx() {
	ng_root=$1 ng_addr=$2 ng_port=$3
	shift 3
	mkdir -p "$tmp/nginx"
	cat >"$tmp/nginx/conf" <<-END
		daemon off;
		master_process off;
		worker_processes 1;
		pid $tmp/nginx/pid;
		error_log $tmp/nginx/errors;
		worker_rlimit_nofile 8192;
		events { worker_connections 4096; }
		http {
			access_log off;
			client_body_temp_path $tmp/nginx/body;
			proxy_temp_path $tmp/nginx/proxy;
			fastcgi_temp_path $tmp/nginx/fastcgi;
			uwsgi_temp_path $tmp/nginx/uwsgi;
			scgi_temp_path $tmp/nginx/scgi;
			keepalive_requests 100;
			server {
				listen $ng_addr:$ng_port backlog=4096;
				root $ng_root;
				location /chunked/ {
					# without a length: ssi rewrites
					alias $ng_root/;
					ssi on;
					ssi_types *;
				}
			}
		}
	END
	"$@" nginx -p "$tmp/nginx" -c "$tmp/nginx/conf" -e "$tmp/nginx/errors" \
		>"$tmp/nginx/out" 2>&1 &
	nginx=$!
	started="$started $nginx"
	for _ in $(seq 100); do
		[ -s "$tmp/nginx/pid" ] && return 0
		kill -0 "$nginx" 2>/dev/null || return 1
		sleep 0.05
	done
	fail "nginx does not start: $(cat "$tmp/nginx/errors")"
}
