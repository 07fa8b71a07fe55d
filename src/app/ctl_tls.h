// What `rondo ctl` needs for https: from its arguments, the environment and the files they name.
#pragma once

#include <string>

#include "app/ctl_client.h"
#include "app/ctl_options.h"

namespace rondo::app {

// False, and a sentence in `problem`, where a file cannot be used. No effect on plain addresses.
bool SetUpCtlTls(const CtlArguments& arguments, CtlClient& client, std::string& problem);

}  // namespace rondo::app
