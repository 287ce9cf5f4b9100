// An application that is faster than its sidecar: from `init` on its connections wait, and lead to
// the sidecar when it is up. None is refused, none lost, none goes round it.
#include <filesystem>

#include "deploy/sandbox/process.h"
#include "tests/behaviour/scenario.h"

namespace sallyport::behaviour {
namespace {

// Two network namespaces with a cable: a pod, with rules by the real `init`, and a server that says
// whose connection it has. Ten times: 20 connections begin at different moments before the sidecar
// listens; each ends with an answer through it. Prints one line.
constexpr const char* tries = R"(
import ctypes, os, select, signal, socket, subprocess, sys, threading, time
program, work = sys.argv[1:3]
pod, peer = ('sp-hold-%s-%d' % (side, os.getpid()) for side in ('pod', 'peer'))
libc = ctypes.CDLL(None)
def sh(line): subprocess.run(line, shell=True, check=True)
def enter(name):
    fd = os.open('/run/netns/' + name, os.O_RDONLY)
    libc.setns(fd, 0x40000000)
    os.close(fd)
def serve(name):
    enter(name)
    server = socket.create_server(('', 80), backlog=512)
    def answer(client, port):
        if client.recv(4096):
            body = b'%d' % port
            client.sendall(b'HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s'
                           % (len(body), body))
        client.close()
    while True:
        client, who = server.accept()
        threading.Thread(target=answer, args=(client, who[1])).start()
def sidecar():
    return subprocess.Popen(
        ['ip', 'netns', 'exec', pod, 'setpriv', '--reuid=1337', '--regid=1337', '--clear-groups',
         program, 'sidecar', '--config', work, '--concurrency', '1', '--ip', '198.18.7.1',
         '--labels', 'app=a'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
children = []
try:
    sh(f'ip netns add {pod}; ip netns add {peer}; ip -n {pod} link set lo up;'
       f'ip -n {pod} link add eth0 type veth peer name eth0 netns {peer};'
       f'ip -n {pod} addr add 198.18.7.1/24 dev eth0; ip -n {pod} link set eth0 up;'
       f'ip -n {peer} addr add 198.18.7.2/24 dev eth0; ip -n {peer} link set eth0 up')
    server = os.fork()
    if server == 0:
        try: serve(peer)
        finally: os._exit(0)
    children.append(server)
    sh(f"ip netns exec {pod} {program} init -u 1337 -i '*' -b '*' >{work}/init.log 2>&1")
    good = refused = leaked = other = 0
    enter(pod)
    for turn in range(10):
        clients = []
        begun = time.monotonic()
        agent = None
        while len(clients) < 20:
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(('198.18.7.2', 80))
            clients.append(client)
            if len(clients) == 12: agent = sidecar()
            time.sleep(0.01)
        for client in clients:
            client.setblocking(True)
            client.settimeout(max(1, begun + 30 - time.monotonic()))
            try:
                poll = select.poll(); poll.register(client, select.POLLOUT)
                poll.poll(20000)
                error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error: raise OSError(error, 'connect')
                client.sendall(b'GET / HTTP/1.1\r\nhost: 198.18.7.2\r\n\r\n')
                answer = b''
                while True:
                    more = client.recv(4096)
                    if not more: break
                    answer += more
                    if answer.split(b'\r\n\r\n')[-1].isdigit(): break
                port = int(answer.split(b'\r\n\r\n')[-1])
                if port == client.getsockname()[1]: leaked += 1
                else: good += 1
            except ConnectionRefusedError: refused += 1
            except (OSError, ValueError) as error:
                other += 1
                print(error, file=sys.stderr)
            client.close()
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    print('through the sidecar', good, 'refused', refused, 'round it', leaked, 'lost', other)
finally:
    for child in children:
        os.kill(child, signal.SIGKILL); os.waitpid(child, 0)
    sh(f'ip netns del {pod}; ip netns del {peer}')
)";

TEST(Hold, TwoHundredConnectionsBegunBeforeTheSidecarAllLeadToIt) {
  const std::string program = sandbox::find_program("sallyport");
  ASSERT_FALSE(program.empty());
  char work[] = "/tmp/sallyport-hold-XXXXXX";
  ASSERT_NE(mkdtemp(work), nullptr);
  std::filesystem::permissions(work, std::filesystem::perms(0755));
  std::ofstream(std::string(work) + "/tries.py") << tries;
  const auto result =
      sandbox::run_command({"python3", std::string(work) + "/tries.py", program, work}, "");
  std::filesystem::remove_all(work);
  ASSERT_TRUE(result) << result.error().context;
  EXPECT_EQ(result->out, "through the sidecar 200 refused 0 round it 0 lost 0\n") << result->err;
}

}  // namespace
}  // namespace sallyport::behaviour
