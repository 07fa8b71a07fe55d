#include "io/real_world.h"
#include "io/secure_suite.h"

namespace rondo::io::testing {
namespace {

const WorldMaker kWorlds[] = {
    {"io_uring", &MakeSecured<&RealWorld::MakeOf<EngineKind::kIoUring>, false>},
    {"epoll", &MakeSecured<&RealWorld::MakeOf<EngineKind::kEpoll>, false>},
};
INSTANTIATE_TEST_SUITE_P(Real, SecureSuite, ::testing::ValuesIn(kWorlds), NameOf);
INSTANTIATE_TEST_SUITE_P(Real, DrawnLine, ::testing::ValuesIn(kWorlds), NameOf);

}  // namespace
}  // namespace rondo::io::testing
