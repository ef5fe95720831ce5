# librealm.so and librealm.a, what pkg-config knows of them, and their installation.
include(GNUInstallDirs)
set(public ${CMAKE_SOURCE_DIR}/include/realm/status.h ${CMAKE_SOURCE_DIR}/include/realm/realm.h)

# What the shared library exports is what the public headers mark REALM_API, nothing else.
set(names "")
foreach(header ${public})
    file(READ ${header} text)
    string(REGEX MATCHALL "REALM_API[^;{]*[(]" marked "${text}")
    foreach(declaration ${marked})
        if(declaration MATCHES "(realm_[a-z0-9_]+)[(]")
            string(APPEND names " ${CMAKE_MATCH_1};")
        endif()
    endforeach()
endforeach()
set(map ${CMAKE_CURRENT_BINARY_DIR}/realm.map)
file(CONFIGURE OUTPUT ${map} CONTENT "REALM_0 { global:${names} local: *; };\n")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public})

add_library(realm_shared SHARED $<TARGET_OBJECTS:rl_lib>)
target_link_libraries(realm_shared PRIVATE realm_flags rl_base rl_gguf rl_token rl_model rl_engine
    rl_store rl_guest realm_builtin_wasm)
target_link_options(realm_shared PRIVATE -Wl,--version-script=${map} -Wl,--gc-sections)
target_include_directories(realm_shared INTERFACE ${CMAKE_SOURCE_DIR}/include)
set_target_properties(realm_shared PROPERTIES OUTPUT_NAME realm VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})

# The static library is the rooms as one object whose only symbols are those of the public headers;
# the Rust part stays beside it. A link-time optimised build is finished here: the object must serve
# other compilers too.
set(rooms base kernels gguf token kv sample model engine store guest lib)
set(archives "")
foreach(room ${rooms})
    list(APPEND archives $<TARGET_FILE:rl_${room}>)
    list(APPEND archive_targets rl_${room})
endforeach()
set(merge ${CMAKE_C_COMPILER} -r -nostdlib)
if(CMAKE_INTERPROCEDURAL_OPTIMIZATION AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND merge -O3 -flto=auto -flinker-output=nolto-rel)
endif()
set(librealm ${CMAKE_CURRENT_BINARY_DIR}/librealm.a)
set(object ${CMAKE_CURRENT_BINARY_DIR}/realm.o)
add_custom_command(OUTPUT ${librealm}
    COMMAND ${merge} -o ${object} -Wl,--whole-archive ${archives} $<TARGET_FILE:realm_builtin_wasm>
            -Wl,--no-whole-archive
    COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${librealm}
    COMMAND ${CMAKE_AR} qcs ${librealm} ${object}
    DEPENDS ${archive_targets} realm_builtin_wasm VERBATIM COMMENT "librealm.a")
add_custom_target(realm_static ALL DEPENDS ${librealm})

# How to find it: pkg-config and CMake packages, both good wherever the files are moved together.
include(CMakePackageConfigHelpers)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/Realm)
file(RELATIVE_PATH pc_to_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(realm.pc.in realm.pc @ONLY)
configure_package_config_file(RealmConfig.cmake.in RealmConfig.cmake INSTALL_DESTINATION ${package}
    PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(RealmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
get_target_property(rt realm_rt IMPORTED_LOCATION)
install(TARGETS realm_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${librealm} ${rt} DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/realm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/RealmConfig.cmake
    ${CMAKE_CURRENT_BINARY_DIR}/RealmConfigVersion.cmake DESTINATION ${package})
install(FILES ${public} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/realm)

# For authors of guests: the header and the example programs.
install(FILES ${CMAKE_SOURCE_DIR}/sdk/c/realm.h DESTINATION ${CMAKE_INSTALL_DATADIR}/realm/sdk/c)
foreach(guest hello chat stream memory64 pipeline layers)
    install(FILES ${CMAKE_BINARY_DIR}/guests/${guest}.wasm
        DESTINATION ${CMAKE_INSTALL_DATADIR}/realm/guests)
endforeach()
