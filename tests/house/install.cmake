# Installs the build into an empty folder, moves it, and builds and runs a program against it.
# cmake -D BUILD=folder -D SOURCE=folder -D CC=compiler -D FLAGS=flags -P install.cmake
set(work ${BUILD}/tests/house/install)
set(prefix ${work}/moved)
file(REMOVE_RECURSE ${work})

function(run)
    execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE out ERROR_VARIABLE err RESULT_VARIABLE code)
    if(NOT code EQUAL 0)
        list(JOIN ARGN " " words)
        message(FATAL_ERROR "${words}: ${code}\n${out}${err}")
    endif()
    set(out "${out}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${work}/first)
file(RENAME ${work}/first ${prefix})
file(GLOB_RECURSE files RELATIVE ${prefix} ${prefix}/*)
foreach(want bin/realm include/realm/realm.h include/realm/status.h librealm[.]so librealm[.]a
        librealm_rt[.]a pkgconfig/realm[.]pc cmake/Realm/RealmConfig[.]cmake
        cmake/Realm/RealmConfigVersion[.]cmake realm/sdk/c/realm[.]h realm/guests/chat[.]wasm
        realm/guests/layers[.]wasm man/man1/realm[.]1 bash-completion/completions/realm
        zsh/site-functions/_realm vendor_completions.d/realm[.]fish)
    if(NOT ";${files};" MATCHES "${want};")
        message(FATAL_ERROR "${want} is not installed: ${files}")
    endif()
endforeach()
foreach(file ${files})
    file(SIZE ${prefix}/${file} size)
    if(size EQUAL 0)
        message(FATAL_ERROR "${file} is empty")
    endif()
endforeach()

run(${prefix}/bin/realm version)
run(${CMAKE_COMMAND} -S ${SOURCE}/tests/house/consumer -B ${work}/consumer
    -D CMAKE_PREFIX_PATH=${prefix} -D CMAKE_C_COMPILER=${CC} "-DCMAKE_C_FLAGS=${FLAGS}")
run(${CMAKE_COMMAND} --build ${work}/consumer)
foreach(kind realm realm_static)
    run(${work}/consumer/with_${kind} ${work}/home)
    message(STATUS "${kind}: ${out}")
endforeach()

# The static library shows the world the public names alone.
run(${NM} --defined-only --extern-only --format=posix ${prefix}/lib/librealm.a)
string(REGEX MATCHALL "[^\n]+" lines "${out}")
foreach(line ${lines})
    if(NOT line MATCHES "^realm_[a-z0-9_]+ T |:$")
        message(SEND_ERROR "librealm.a shows ${line}")
    endif()
endforeach()

# And by pkg-config, into another folder than at configuring.
file(GLOB pc ${prefix}/lib*/pkgconfig ${prefix}/lib*/*/pkgconfig)
run(${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc} pkg-config --variable=includedir realm)
string(STRIP "${out}" include)
if(NOT EXISTS ${include}/realm/realm.h)
    message(FATAL_ERROR "realm.pc says ${include}")
endif()
file(REMOVE_RECURSE ${work})
